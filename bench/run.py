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
from typing import TYPE_CHECKING, Any, TypeVar

import django
from django.core.management import call_command

if TYPE_CHECKING:
    from .report import Results

TIMEOUT = 240.0
PARTS = "compare", "storm", "lateness", "queries", "redis", "scale"
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
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help="write the table into bench/README.md")
    what.add_argument("--only", choices=PARTS, help="measure this part alone")
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
    # Needs the apps, which are ready only now.
    from . import report

    # A collection here would delay what is measured there.
    gc.disable()
    began = time.monotonic()
    results = report.Results()
    for part in [arguments.only] if arguments.only else PARTS:
        print(part, file=sys.stderr)
        _add(results, part, arguments)
    print(table := report.table(results, arguments.tabs))
    print(f"took {time.monotonic() - began:.0f} s", file=sys.stderr)
    if arguments.write:
        report.write(table)
    missed = report.missed(results)
    for target in missed:
        print(f"missed: {target}", file=sys.stderr)
    return 1 if missed else 0


def _add(results: "Results", part: str, arguments: argparse.Namespace) -> None:
    from . import measures, redis_cost, scale, storm
    from .server import PROGRAMS

    match part:
        case "compare":
            results.ours, results.stock = _within(measures.compare(arguments.tabs))
        case "storm":
            for program in PROGRAMS:
                ours, stock = _within(storm.storm(arguments.tabs, program))
                for load, crowd in (results.ours, ours), (results.stock, stock):
                    load.storm[program] += crowd.took
                    load.storm_cpu[program] += crowd.cpu
        case "lateness":
            results.lateness = _within(measures.lateness(1000, arguments.trials))
        case "queries":
            results.queries = measures.queries()
        case "redis":
            results.redis = _within(redis_cost.redis_cost())
        case "scale":
            results.scale = _within(scale.scale())


def _within(measurement: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(measurement, TIMEOUT))


if __name__ == "__main__":
    sys.exit(main())
