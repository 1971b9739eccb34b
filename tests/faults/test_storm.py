"""Very many sessions that are due in the same second, across two processes."""

import asyncio
import time

import pytest

from tests.faults import slow
from tests.faults.stage import Stage
from tests.faults.verdict import LATE, OVERLOADED
from tests.redis_server import redis_server

WHEN = 7.0
WARN = 4.0
FOR_NOW = 9000.0


async def weather(stage: Stage, people: int, store: str) -> None:
    await stage.start("daphne", "uvicorn")
    crowd = stage.crowd()
    logins = await stage.log_in(people, FOR_NOW, WARN)
    await crowd.arrive(crowd.add(logins, homes=[(0,), (1,)], works=False))
    busy = await stage.log_in(20, 30, 10)
    await crowd.arrive(crowd.add(busy, homes=[(0, 1)], is_active=True))
    when = WHEN * stage.slowness + people / 200
    idle = str(FOR_NOW * stage.slowness)
    due_at = float(await asyncio.to_thread(stage.manage, "make_due", str(when), str(WARN), idle))
    assert time.time() < due_at - WARN, "it took too long to tell the store"
    for person in crowd.idle:
        for tab in person.tabs:
            tab.deadline_at = due_at
    await crowd.until_over(patience=60)
    late = OVERLOADED if people > 1000 else LATE
    await stage.judge(f"{people} sessions due at once ({store})", signals_within=120, late=late)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "people", [pytest.param(500, id="quick"), pytest.param(5000, id="5000", marks=slow)]
)
async def test_all_that_are_due_at_once_are_told_in_time(stage: Stage, people: int) -> None:
    with redis_server() as redis:
        stage.use_redis(redis.url)
        await weather(stage, people, "Redis")


@slow
@pytest.mark.timeout(900)
async def test_the_default_store_holds_out_too(stage: Stage) -> None:
    with redis_server() as redis:
        stage.use_redis(redis.url)
        del stage.settings["STORE"]
        await weather(stage, 2000, "SQLite")
