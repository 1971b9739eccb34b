"""A network that fails between the processes and Redis, and between browsers and the processes."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from tests.faults import slow
from tests.faults.proxy import Proxy, proxy
from tests.faults.stage import Stage
from tests.redis_server import RedisServer, redis_server

SECONDS = 1.5
RECOVERY = 4.5
"""Seconds: a call that is under way gives up after 2, and the next one is up to 2 later."""
PROBE = 2.0
UNTIL_PROBED = PROBE + 5.0 + 2.5
"""Seconds until a browser finds that its socket is dead, and has another one."""

Fault = Callable[[Proxy], None]


def cut(way: Proxy) -> None:
    way.refuses = True
    way.cut()


def swallow(way: Proxy) -> None:
    way.swallows = True


def delay(way: Proxy) -> None:
    way.delay = 0.3


def drip(way: Proxy) -> None:
    way.drips = True


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


async def through(way: Proxy, *faults: Fault) -> None:
    for fault in faults:
        fault(way)
        await asyncio.sleep(SECONDS)
        way.heal()
        await asyncio.sleep(SECONDS / 2)


async def test_between_a_process_and_its_channel_layer_no_deadline_is_late(
    stage: Stage, redis: RedisServer
) -> None:
    async with proxy(redis.port) as way:
        stage.use_redis(redis.url, layer=f"redis://127.0.0.1:{way.port}/0")
        await stage.start("daphne", "uvicorn")
        crowd = stage.crowd()
        logins = await stage.log_in(60, 10, 4)
        crowd.add(logins[:30], homes=[(0, 1), (0,), (1,)])
        crowd.add(logins[30:], homes=[(0, 1), (0,), (1,)], is_active=True)
        await crowd.arrive()
        await crowd.sit(spread=6)
        await crowd.until_near()
        await through(way, cut, swallow, delay, drip)
        await crowd.until_over(patience=10)
        assert all(tab.states == 1 for tab in crowd.tabs), "a socket was closed"
        await stage.judge("channel layer: cut, swallowed, delayed, dripping")


@slow
async def test_between_a_process_and_its_store_nobody_is_ended_early(
    stage: Stage, redis: RedisServer
) -> None:
    async with proxy(redis.port) as way:
        stage.use_redis(f"redis://127.0.0.1:{way.port}/0", layer=redis.url)
        await stage.start("daphne", "uvicorn")
        crowd = stage.crowd()
        logins = await stage.log_in(60, 16, 6)
        crowd.add(logins[:30], homes=[(0, 1), (0,), (1,)])
        crowd.add(logins[30:], homes=[(0, 1), (0,), (1,)], is_active=True)
        await crowd.arrive()
        await crowd.sit(spread=6)
        await crowd.until_near()
        with crowd.outage(RECOVERY):
            await through(way, cut, swallow, delay, drip)
        await crowd.until_over(patience=10)
        assert all(tab.states == 1 for tab in crowd.tabs), "a socket was closed"
        await stage.judge("store: cut, swallowed, delayed, dripping")


@slow
async def test_between_browser_and_process_tabs_come_back_to_the_truth(stage: Stage) -> None:
    one, other = await stage.start("daphne", "uvicorn")
    async with proxy(one.port) as bad, proxy(other.port) as good:
        crowd = stage.crowd(ports=[bad.port, good.port])
        logins = await stage.log_in(60, 12, 5)
        crowd.add(logins[:30], homes=[(0, 1), (0,), (1,)], probe=PROBE)
        crowd.add(logins[30:], homes=[(0, 1), (0,), (1,)], probe=PROBE, is_active=True)
        await crowd.arrive()
        await crowd.sit(spread=6)
        await crowd.until_near()
        with crowd.outage(UNTIL_PROBED, port=bad.port):
            await through(bad, cut, delay, drip, swallow)
        await crowd.until_over(patience=10)
        await crowd.until_back(patience=10)
        await stage.judge("browsers: cut, delayed, dripping, swallowed")
