"""Clocks that are wrong: those of processes, which must not matter, and the store's, when it is set."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import slow
from tests.faults.stage import Stage
from tests.redis_server import RedisServer, redis_server
from tests.system import find_faketime


def skewed(by: str) -> dict[str, str]:
    """Return the environment of a process whose wall clock is off, but not its monotonic one."""
    library = find_faketime()
    assert library is not None, "libfaketime is missing: run `python -m tests.system`"
    return {"LD_PRELOAD": str(library), "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


async def test_clocks_of_processes_do_not_matter(stage: Stage) -> None:
    with redis_server() as redis:
        stage.use_redis(redis.url)
        await stage.start("daphne", **skewed("+3600s"))
        await stage.start("uvicorn", **skewed("-3600s"))
        await stage.start("daphne")
        crowd = stage.crowd()
        logins = await stage.log_in(60, 8, 4)
        everywhere = [(0, 1), (1, 2), (2, 0)]
        crowd.add(logins[:30], homes=everywhere)
        crowd.add(logins[30:], homes=everywhere, is_active=True)
        await crowd.arrive()
        await crowd.sit(spread=2)
        await crowd.until_over(patience=10)
        await stage.judge("clocks of processes off by +1 h, -1 h and 0")


@pytest.fixture
def settable(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[RedisServer, Path]]:
    """A Redis, and the file that says by how much its clock is off."""
    clock = tmp_path / "clock"
    clock.write_text("+0\n")
    file = {"FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    with monkeypatch.context() as patch:
        for name, value in (skewed("") | file).items():
            if name != "FAKETIME":
                patch.setitem(os.environ, name, value)
        server = redis_server()
        redis = server.__enter__()
    stage.use_redis(redis.url)
    yield redis, clock
    server.__exit__(None, None, None)


@slow
@pytest.mark.parametrize("step", [5, -5])
async def test_setting_the_clock_of_the_store_shifts_deadlines_by_no_more_than_that(
    stage: Stage, settable: tuple[RedisServer, Path], step: int
) -> None:
    await stage.start("daphne", "uvicorn")
    crowd = stage.crowd()
    logins = await stage.log_in(60, 14, 5)
    crowd.add(logins[:30], homes=[(0, 1), (0,), (1,)])
    crowd.add(logins[30:], homes=[(0, 1), (0,), (1,)], is_active=True)
    await crowd.arrive()
    await crowd.sit(spread=8)
    await crowd.until_near(lead=3)
    settable[1].write_text(f"{step:+}\n")
    crowd.clock_stepped(step)
    await crowd.until_over(patience=10 + abs(step))
    assert any("clock jumped" in server.log.read_text() for server in stage.servers)
    await stage.judge(f"the store's clock set by {step:+} s")
