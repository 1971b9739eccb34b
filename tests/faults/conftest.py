import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.run import raise_file_limit
from tests.faults.stage import Stage
from tests.faults.verdict import Verdict

verdicts = pytest.StashKey[list[Verdict]]()
SOCKETS = 12_000
TIMEOUT = 600
"""Seconds for one test."""
HEAD = (
    "fault", "people", "ended early", "kept too long", "ends twice", "tabs not told", "left over",
    "latest", "waited", "seconds",
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    config.stash.setdefault(verdicts, [])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starting processes takes long on a busy machine."""
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT))


@pytest.fixture
async def stage(
    prepared: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> AsyncIterator[Stage]:
    """Processes on a database of the test's own; nothing runs yet."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    raise_file_limit(SOCKETS)
    stage = Stage(tmp_path, pytestconfig.stash.setdefault(verdicts, []).append)
    yield stage
    await stage.close()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if found := config.stash.get(verdicts, []):
        terminalreporter.section("faults")
        for line in table(found):
            terminalreporter.line(line)


def table(found: list[Verdict]) -> list[str]:
    """One row for each fault, in the order of the tests."""
    rows = [
        (
            each.fault, each.people, len(each.ended_early), len(each.kept_too_long),
            len(each.ended_twice), len(each.not_told), len(each.left_over),
            f"{each.latest:.2f}", f"{each.waited:.2f}", f"{each.seconds:.0f}",
        )
        for each in found
    ]  # fmt: skip
    return [" | ".join(map(str, row)) for row in (HEAD, ("---",) * len(HEAD), *rows)]
