"""The measurements. Each says in its docstring what its numbers mean."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from realtime_session.policy import Policy

from .client import Tab
from .people import alog_in, log_in
from .server import PROGRAMS, Server

SLICE = 200
HANDSHAKES_AT_ONCE = 50
SETTLE = 3.0
BURST = 10
PACED_RATE = 800
PACED_FOR = 2.0
PACED_TURNS = 6

ACTIVITY = b'{"type":"activity"}'
SYNC = b'{"type":"sync"}'


@dataclass(frozen=True, slots=True)
class Load:
    """What one server did and used, a sample for each of its turns.

    ``tab_memory``: bytes by which the process grew, for each tab, once all were idle. ``connects``
    and ``connect_cpu``: from the start of the TCP connection to the first message, per second, and the
    server's CPU seconds for each. ``messages``: ``activity`` messages per second when many tabs send
    many at once, until each has the answer to a ``sync`` sent after them. ``message_cpu``: the
    server's CPU seconds for each message at a steady rate. ``storm``: seconds until all tabs of as many
    sessions have heard what another process tells them; ``storm_cpu``: the server's CPU seconds for each.
    """

    tab_memory: list[float] = field(default_factory=list)
    connects: list[float] = field(default_factory=list)
    connect_cpu: list[float] = field(default_factory=list)
    messages: list[float] = field(default_factory=list)
    message_cpu: list[float] = field(default_factory=list)
    storm: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in PROGRAMS})
    storm_cpu: dict[str, list[float]] = field(
        default_factory=lambda: {name: [] for name in PROGRAMS}
    )


class Site:
    """A server under measurement, its tabs, and what came of it."""

    def __init__(self, server: Server, session_keys: Sequence[str]) -> None:
        self.load = Load()
        self._server = server
        self._session_keys = session_keys
        self._tabs: list[Tab] = []

    async def warm_up(self) -> None:
        """Have everything loaded that is loaded once; measure from here."""
        self._tabs = await connect(self._server, self._session_keys[:SLICE])
        await asyncio.sleep(1.0)
        self._memory = self._server.memory

    async def connect(self, start: int) -> None:
        """Open a slice of the tabs, ``HANDSHAKES_AT_ONCE`` at a time."""
        session_keys = self._session_keys[start : start + SLICE]
        cpu, began = self._server.cpu, time.perf_counter()
        self._tabs += await connect(self._server, session_keys)
        took = time.perf_counter() - began
        self.load.connects.append(len(session_keys) / took)
        self.load.connect_cpu.append((self._server.cpu - cpu) / len(session_keys))

    def weigh(self) -> None:
        """Note the memory."""
        grown = self._server.memory - self._memory
        self.load.tab_memory.append(grown / (len(self._tabs) - SLICE))

    async def burst(self, start: int) -> None:
        """Have each tab of a slice send ``BURST`` messages in turn, as fast as they go."""
        tabs = self._tabs[start : start + SLICE]
        began = time.perf_counter()
        for _ in range(BURST):
            for tab in tabs:
                tab.send(ACTIVITY)
            await asyncio.sleep(0)
        await answered(tabs)
        self.load.messages.append(len(tabs) * BURST / (time.perf_counter() - began))

    async def pace(self, turn: int) -> None:
        """Have the tabs send in turn, ``PACED_RATE`` messages a second."""
        count = round(PACED_RATE * PACED_FOR)
        cpu, began = self._server.cpu, time.perf_counter()
        for index in range(count):
            await asyncio.sleep(began + index / PACED_RATE - time.perf_counter())
            self._tabs[(turn * count + index) % len(self._tabs)].send(ACTIVITY)
        await asyncio.sleep(0.5)
        await answered(self._tabs[-1:])
        self.load.message_cpu.append((self._server.cpu - cpu) / count)

    def close(self) -> None:
        """Close all tabs."""
        for tab in self._tabs:
            tab.close()


async def compare(tabs: int) -> tuple[Load, Load]:
    """Measure ours and stock by short turns, so that what else the machine does meets both alike."""
    ours_keys, stock_keys = await alog_in(SLICE + tabs), await alog_in(SLICE + tabs)
    with Server("ours") as ours, Server("stock") as stock:
        sites = Site(ours, ours_keys), Site(stock, stock_keys)
        for site in sites:
            await site.warm_up()
        for start in range(SLICE, SLICE + tabs, SLICE):
            for site in sites:
                await site.connect(start)
        await asyncio.sleep(SETTLE)
        for site in sites:
            site.weigh()
        for start in range(SLICE, SLICE + tabs, SLICE):
            for site in sites:
                await site.burst(start)
        await asyncio.sleep(1.0)
        for turn in range(PACED_TURNS):
            for site in sites:
                await site.pace(turn)
        for site in sites:
            site.close()
    return sites[0].load, sites[1].load


async def connect(server: Server, session_keys: Sequence[str]) -> list[Tab]:
    """Open a tab for each session and wait for its first message."""
    at_once = asyncio.Semaphore(HANDSHAKES_AT_ONCE)

    async def open_tab(session_key: str) -> Tab:
        async with at_once:
            tab = await Tab.open(server.port, session_key)
            await tab.next("state")
        return tab

    return await asyncio.gather(*(open_tab(session_key) for session_key in session_keys))


async def answered(tabs: Sequence[Tab]) -> None:
    """Wait until all that these tabs sent has been processed."""
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
        other_tabs = await connect(server, other_keys)
        session_keys = await alog_in(
            trials, lambda index: Policy(15.0 + index * 0.05, warn_before=3.0)
        )
        tabs = await connect(server, session_keys)
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
