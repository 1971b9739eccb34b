"""Measure, print the table, and exit with 1 if a target is missed. ``--write`` puts it into the README."""

import argparse
import asyncio
import gc
import os
import resource
import sys
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import django
from django.core.management import call_command

TIMEOUT = 240.0
T = TypeVar("T")


def main() -> int:
    """Run all measurements."""
    arguments = _parser().parse_args()
    raise_file_limit(2 * arguments.tabs + 1000)
    with tempfile.TemporaryDirectory(prefix="realtime-session-bench-") as directory:
        _set_up(Path(directory) / "bench.sqlite3")
        return _measure(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table into bench/README.md")
    parser.add_argument("--tabs", type=int, default=2000, help="idle tabs (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=200, help="deadlines (default: %(default)s)")
    return parser


def raise_file_limit(needed: int) -> None:
    """Let this process, and those that it starts, open ``needed`` files, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))


def _set_up(database: Path) -> None:
    os.environ["BENCH_DATABASE"] = str(database)
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.project.settings"
    django.setup()
    call_command("migrate", verbosity=0)


def _measure(arguments: argparse.Namespace) -> int:
    # Need the apps, which are ready only now.
    from . import measures, report, storm

    # A collection here would delay what is measured there.
    gc.disable()
    began = time.monotonic()
    print("side by side", file=sys.stderr)
    ours, stock = _within(measures.compare(arguments.tabs))
    print("storm", file=sys.stderr)
    for side, took in zip((ours, stock), _within(storm.storm(arguments.tabs)), strict=True):
        side.storm.extend(took)
    print("deadlines", file=sys.stderr)
    lateness = _within(measures.lateness(1000, arguments.trials))
    results = report.Results(ours, stock, lateness, measures.queries())
    print(table := report.table(results, arguments.tabs))
    print(f"took {time.monotonic() - began:.0f} s", file=sys.stderr)
    if arguments.write:
        report.write(table)
    missed = report.missed(results)
    for target in missed:
        print(f"missed: {target}", file=sys.stderr)
    return 1 if missed else 0


def _within(measurement: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(measurement, TIMEOUT))


if __name__ == "__main__":
    sys.exit(main())
