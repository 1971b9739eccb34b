"""The measurements. Each says in its docstring what its numbers mean."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from realtime_session.policy import Policy

from .client import Tab
from .people import alog_in, log_in
from .server import Server

WARM_UP = 50
HANDSHAKES_AT_ONCE = 50
SETTLE = 3.0
BURST = 10
PACED_RATE = 800
PACED_FOR = 4.0

ACTIVITY = b'{"type":"activity"}'
SYNC = b'{"type":"sync"}'


@dataclass(frozen=True, slots=True)
class Load:
    """What one server did and used with many tabs, one for each of as many sessions.

    ``tab_memory``: bytes by which the process grew, for each tab, once all were idle. ``connects``
    and ``connect_cpu``: from the start of the TCP connection to the first message, with 50 handshakes
    under way at a time; per second, and the server's CPU seconds for each. ``messages``: ``activity``
    messages per second when all tabs send 10 at once, until each has the answer to a ``sync`` sent after
    them. ``message_cpu``: the server's CPU seconds for each of a steady 800 messages a second.
    """

    tab_memory: float
    connects: float
    connect_cpu: float
    messages: float
    message_cpu: float


async def load(side: str, tabs: int) -> Load:
    """Measure a fresh server of one side."""
    session_keys = await alog_in(WARM_UP + tabs)
    with Server(side) as server:
        warm = await _connect(server, session_keys[:WARM_UP])
        await asyncio.sleep(1.0)
        memory, cpu, began = server.memory, server.cpu, time.perf_counter()
        opened = await _connect(server, session_keys[WARM_UP:])
        took, connect_cpu = time.perf_counter() - began, server.cpu - cpu
        await asyncio.sleep(SETTLE)
        tab_memory = (server.memory - memory) / tabs
        messages = tabs * BURST / await _burst(opened)
        message_cpu = await _paced(server, opened)
        for tab in warm + opened:
            tab.close()
    return Load(tab_memory, tabs / took, connect_cpu / tabs, messages, message_cpu)


async def _connect(server: Server, session_keys: Sequence[str]) -> list[Tab]:
    """Open a tab for each session and wait for its first message."""
    at_once = asyncio.Semaphore(HANDSHAKES_AT_ONCE)

    async def connect(session_key: str) -> Tab:
        async with at_once:
            tab = await Tab.open(server.port, session_key)
            await tab.next("state")
        return tab

    return await asyncio.gather(*(connect(session_key) for session_key in session_keys))


async def _burst(tabs: Sequence[Tab]) -> float:
    """Have every tab send ``BURST`` messages in turn; return how long the server took over them."""
    began = time.perf_counter()
    for _ in range(BURST):
        for tab in tabs:
            tab.send(ACTIVITY)
        await asyncio.sleep(0)
    await _answered(tabs)
    return time.perf_counter() - began


async def _paced(server: Server, tabs: Sequence[Tab]) -> float:
    """Have the tabs take turns at a steady rate; return the server's CPU seconds per message."""
    await asyncio.sleep(1.0)
    cpu, began = server.cpu, time.perf_counter()
    count = round(PACED_RATE * PACED_FOR)
    for index in range(count):
        await asyncio.sleep(began + index / PACED_RATE - time.perf_counter())
        tabs[index % len(tabs)].send(ACTIVITY)
    await asyncio.sleep(0.5)
    await _answered(tabs[:1])
    return (server.cpu - cpu) / count


async def _answered(tabs: Sequence[Tab]) -> None:
    for tab in tabs:
        tab.send(SYNC)
    await asyncio.gather(*(tab.next("state") for tab in tabs))


@dataclass(frozen=True, slots=True)
class Lateness:
    """By how many seconds ``warning`` and ``expired`` arrived after their instants, in ascending order."""

    warnings: list[float]
    ends: list[float]


async def lateness(others: int, trials: int) -> Lateness:
    """Open ``others`` sessions that take turns at being active, and meet ``trials`` deadlines among them.

    The deadlines are 50 ms apart. When each is due is taken from the session's ``state``.
    """
    other_keys = await alog_in(others)
    with Server("ours") as server:
        other_tabs = await _connect(server, other_keys)
        session_keys = await alog_in(
            trials, lambda index: Policy(6.0 + index * 0.05, warn_before=3.0)
        )
        tabs = await _connect(server, session_keys)
        noise = asyncio.create_task(_take_turns(other_tabs), name="bench-noise")
        measured = await asyncio.gather(*(_await_end(tab) for tab in tabs))
        noise.cancel()
        for tab in other_tabs:
            tab.close()
    warnings, ends = zip(*measured, strict=True)
    return Lateness(sorted(warnings), sorted(ends))


async def _await_end(tab: Tab) -> tuple[float, float]:
    tab.send(SYNC)
    state = (await tab.next("state")).message
    warned = await tab.next("warning")
    ended = await tab.next("expired")
    return (
        warned.at - state["at"] - state["warns_in"],
        ended.at - state["at"] - state["expires_in"],
    )


async def _take_turns(tabs: Sequence[Tab]) -> None:
    """Send 100 ``activity`` messages a second."""
    while True:
        for tab in tabs:
            tab.send(ACTIVITY)
            await asyncio.sleep(0.01)


def queries() -> int:
    """Return how many queries a request costs that follows another one within the look window.

    Its view touches neither session nor user.
    """
    client = Client(headers={"host": "127.0.0.1"})
    client.cookies["sessionid"] = log_in(1)[0]
    client.get("/untouched/")
    with CaptureQueriesContext(connection) as captured:
        client.get("/untouched/")
    return len(captured)
