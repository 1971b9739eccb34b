"""A Redis that fails under store and channel layer: nobody is ended by it, and nobody forgotten."""

import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from tests.faults import redis_faults as faults
from tests.faults import slow
from tests.faults.stage import Stage
from tests.redis_server import RedisServer, redis_server

logger = logging.getLogger(__name__)

Fault = Callable[[RedisServer], Coroutine[Any, Any, None]]

RECOVERY = 4.5
"""Seconds: a call that is under way gives up after 2, and the next one is up to 2 later."""
FORGETS, KEEPS = faults.OPTIONS, faults.OPTIONS + faults.PERSISTENT


@pytest.fixture
def redis(request: pytest.FixtureRequest, stage: Stage) -> Iterator[RedisServer]:
    with redis_server(*request.param) as server:
        stage.use_redis(server.url)
        yield server


async def suffer(
    stage: Stage, server: RedisServer, name: str, *what: Fault, idle: float, people: int = 60
) -> None:
    await stage.start("daphne", "uvicorn")
    crowd = stage.crowd()
    logins = await stage.log_in(people, idle, idle / 3)
    third = people // 3
    crowd.add(logins[:third], homes=[(0, 1), (0,), (1,)])
    crowd.add(logins[third:], homes=[(0, 1), (0,), (1,)], is_active=True)
    await crowd.arrive()
    await crowd.sit(spread=4)
    crowd.browse()
    await crowd.until_near()
    with crowd.outage(RECOVERY):
        for fault in what:
            await fault(server)
    await crowd.until_over(patience=10)
    await crowd.until_back(patience=10)
    assert crowd.visits is not None
    assert crowd.visits.answered
    logger.info("%d answered, %d refused", crowd.visits.answered, crowd.visits.refused)
    await stage.judge(f"Redis: {name}")


@pytest.mark.parametrize("redis", [FORGETS], indirect=True, ids=["lost"])
async def test_a_redis_that_comes_back_empty_ends_nobody_who_is_connected(
    stage: Stage, redis: RedisServer
) -> None:
    await suffer(stage, redis, "restart without persistence", faults.empty, idle=10)


@slow
@pytest.mark.parametrize(
    ("redis", "name", "fault"),
    [
        pytest.param(KEEPS, "restart (AOF)", faults.restart, id="restart"),
        pytest.param(FORGETS, "FLUSHALL", faults.flush_all, id="flushall"),
        pytest.param(FORGETS, "DEBUG SLEEP 5", faults.sleep, id="sleep"),
        pytest.param(FORGETS, "CLIENT PAUSE 5 s", faults.pause, id="pause"),
        pytest.param(FORGETS, "CLIENT KILL", faults.kill_clients, id="kill"),
        pytest.param(FORGETS, "SCRIPT FLUSH", faults.flush_scripts, id="scripts"),
        pytest.param(FORGETS, "out of memory for 3 s", faults.fill_memory, id="memory"),
        pytest.param(FORGETS, "read-only replica for 3 s", faults.demote, id="replica"),
    ],
    indirect=["redis"],
)
async def test_each_fault_of_redis_at_length(
    stage: Stage, redis: RedisServer, name: str, fault: Fault
) -> None:
    await suffer(stage, redis, name, fault, idle=16, people=300)
