import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import ENGINES
from tests.servers import Server

from . import ends, expiry, policies, revalidation  # noqa: F401  # each has its facts
from .facts import FACTS, SETTINGS, look_at_all

Outcomes = dict[str, BaseException | None]


@pytest.fixture(scope="module", params=list(ENGINES))
def outcomes(
    request: pytest.FixtureRequest, prepared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcomes]:
    """Most of it is waiting, so one server for each engine is asked for all of it at once."""
    scratch = tmp_path_factory.mktemp(request.param)
    shutil.copytree(prepared, scratch, dirs_exist_ok=True)
    server = Server("uvicorn", scratch, SETTINGS, TESTS_SESSION_ENGINE=ENGINES[request.param])
    server.start()
    try:
        yield asyncio.run(look_at_all(server))
    finally:
        server.close()


@pytest.mark.parametrize("fact", FACTS)
def test_with_each_engine(outcomes: Outcomes, fact: str) -> None:
    failure = outcomes[fact]
    if failure is not None:
        raise failure
