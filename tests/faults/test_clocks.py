"""Clocks that are wrong: those of processes, which must not matter, and the store's, when it is set."""

import pytest

from tests.faults import slow
from tests.faults.postgres import postgres
from tests.faults.stage import Stage
from tests.redis_server import redis_server
from tests.system import faketime


def skewed(by: str) -> dict[str, str]:
    """Return the environment of a process whose wall clock is off."""
    return faketime() | {"FAKETIME": by}


async def test_clocks_of_processes_do_not_matter(stage: Stage) -> None:
    with redis_server() as redis:
        stage.use_redis(redis.url)
        await stage.start("daphne", **skewed("+3600s"))
        await stage.start("uvicorn", **skewed("-3600s"))
        await stage.start("daphne")
        crowd = stage.crowd()
        logins = await stage.log_in(60, 12, 5)
        everywhere = [(0, 1), (1, 2), (2, 0)]
        crowd.add(logins[:30], homes=everywhere)
        crowd.add(logins[30:], homes=everywhere, is_active=True)
        await crowd.arrive()
        await crowd.sit(spread=2)
        await crowd.until_over(patience=10)
        await stage.judge("clocks of processes off by +1 h, -1 h and 0")


@slow
@pytest.mark.parametrize("step", [5, -5])
async def test_setting_the_clock_of_the_store_shifts_deadlines_by_no_more_than_that(
    stage: Stage, step: int
) -> None:
    with postgres() as server:
        stage.use_databases(server.databases)
        await stage.start("daphne", "uvicorn")
        crowd = stage.crowd()
        logins = await stage.log_in(60, 14, 5)
        crowd.add(logins[:30], homes=[(0, 1), (0,), (1,)])
        crowd.add(logins[30:], homes=[(0, 1), (0,), (1,)], is_active=True)
        await crowd.arrive()
        await crowd.sit(spread=8)
        await crowd.until_near(lead=3)
        server.set_clock(step)
        crowd.clock_stepped(step)
        await crowd.until_over(patience=10 + abs(step))
        assert any("clock jumped" in server.log.read_text() for server in stage.servers)
        await stage.judge(f"the store's clock set by {step:+} s (PostgreSQL)")
        await stage.close()
