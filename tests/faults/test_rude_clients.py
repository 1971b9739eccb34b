"""Clients that do not behave: whatever they do, others are told in time, and nothing is left of them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from bench.client import Tab as Socket
from tests.faults import slow
from tests.faults.crowd import Crowd
from tests.faults.stage import Stage
from tests.faults.tab import SYNC
from tests.faults.verdict import OVERLOADED

TOO_MUCH, NOT_SIGNED_IN, LOST = 4429, 4401, 1006
ACTIVITY = b'{"type":"activity"}'
LATENCY = 1.0
MOST_AT_ONCE = 100
"""Handshakes that a proxy in front lets through at a time, as nginx does by ``limit_conn``."""
"""Seconds within which others are answered meanwhile, on a machine that has nothing else to do."""


class Deaf(Socket):
    """Reads, but answers no ping."""

    def answer_ping(self, payload: bytes) -> None:
        pass


async def gather(stage: Stage, people: int = 40) -> Crowd:
    crowd = stage.crowd()
    logins = await stage.log_in(people, 7, 3)
    crowd.add(logins[: people // 2])
    crowd.add(logins[people // 2 :], is_active=True)
    await crowd.arrive()
    await crowd.sit(spread=3)
    await crowd.until_near()
    return crowd


@asynccontextmanager
async def others_are_answered(port: int, session_key: str, crowd: Crowd) -> AsyncIterator[None]:
    """Somebody asks for the state all the time, and is answered in time."""
    latencies = []
    socket = await Socket.open(port, session_key)
    await socket.next("state")

    async def ask() -> None:
        while True:
            began = time.time()
            socket.send(SYNC)
            await socket.next("state")
            latencies.append(time.time() - began - crowd.waits.between(began, time.time()))
            await asyncio.sleep(0.2)

    task = asyncio.create_task(ask())
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait({task})
        socket.close()
    assert max(latencies) < LATENCY


async def test_who_reads_nothing_or_answers_no_ping_is_dropped(stage: Stage) -> None:
    [server] = await stage.start("daphne", options=("--ping-interval", "1", "--ping-timeout", "2"))
    crowd = await gather(stage)
    logins = await stage.log_in(20, 600, 60)
    rude = [
        *[await Socket.open(server.port, session_key) for _, session_key in logins[:10]],
        *[await Deaf.open(server.port, session_key) for _, session_key in logins[10:]],
    ]
    for socket in rude:
        await socket.next("state")
    for socket in rude[:10]:
        socket.stop_reading()
    tabs = len(crowd.tabs)
    for _ in range(10):
        inside = await asyncio.to_thread(server.inside)
        if inside["tabs"] <= tabs:
            break
        await asyncio.sleep(1)
    assert inside["tabs"] <= tabs
    await crowd.until_over(patience=10)
    for socket in rude:
        socket.close()
    await stage.judge("20 clients that do not read, or answer no pings")


async def flood(port: int, session_key: str, per_second: int, seconds: float) -> Socket:
    """Send so many messages a second, whatever comes of it."""
    socket = await Socket.open(port, session_key)
    await socket.next("state")
    began = time.monotonic()
    for number in range(round(seconds * 100)):
        if socket.is_lost:
            break
        for _ in range(per_second // 100):
            socket.send(ACTIVITY)
        await asyncio.sleep(began + number / 100 - time.monotonic())
    with suppress(ConnectionError):
        while True:
            await socket.hear()
    return socket


async def test_who_sends_ten_thousand_messages_a_second_is_closed(stage: Stage) -> None:
    [server] = await stage.start("daphne")
    crowd = await gather(stage)
    logins = await stage.log_in(2, 600, 60)
    async with others_are_answered(server.port, logins[0][1], crowd):
        for rate in (200, 10_000, 10_000, 10_000):
            flooded = await flood(server.port, logins[1][1], rate, 2)
            # Who goes on sending to a closed connection may lose what came before its reset.
            assert flooded.close_code in ((TOO_MUCH,) if rate == 200 else (TOO_MUCH, LOST))
    await crowd.until_over(patience=10)
    await stage.judge("10,000 messages a second from one socket")


@slow
@pytest.mark.parametrize("seconds", [20])
async def test_a_thousand_strangers_a_second_harm_nobody(stage: Stage, seconds: int) -> None:
    [server] = await stage.start("uvicorn")
    crowd = await gather(stage)
    logins = await stage.log_in(1, 600, 60)
    async with others_are_answered(server.port, logins[0][1], crowd):
        began = time.monotonic()
        at_once = asyncio.Semaphore(MOST_AT_ONCE)
        strangers = []
        for number in range(1000 * seconds):
            await at_once.acquire()
            strangers.append(asyncio.create_task(refused(server.port, f"{number:032}")))
            strangers[-1].add_done_callback(lambda _: at_once.release())
            await asyncio.sleep(began + number / 1000 - time.monotonic())
        await asyncio.wait(strangers)
    assert {stranger.result() for stranger in strangers} == {NOT_SIGNED_IN}
    await crowd.until_over(patience=10)
    took = time.monotonic() - began
    fault = f"{1000 * seconds} strangers, {1000 * seconds / took:.0f} a second"
    await stage.judge(fault, late=OVERLOADED)


async def refused(port: int, session_key: str) -> int:
    socket = await Socket.open(port, session_key)
    with suppress(ConnectionError):
        await socket.hear()
    return socket.close_code
