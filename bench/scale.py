"""Two server processes against one: how many more messages they carry, and what keeps them from more."""

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.redis_server import RedisServer

from .client import Tab
from .measures import ACTIVITY, BURST, SLICE, answered, connect
from .on_redis import on_redis
from .people import abegin
from .server import Server

TABS = 1000
TURNS = 6
"""Over all tabs; a tab may send 10 messages a second."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What one arrangement carried, a sample for each turn.

    ``rate``: messages per second by the clock. The others are CPU seconds for each message: of all server
    processes, of Redis, of the process that plays the browsers, and of whatever else the machine did.
    """

    rate: list[float] = field(default_factory=list)
    servers: list[float] = field(default_factory=list)
    redis: list[float] = field(default_factory=list)
    browsers: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)

    @property
    def cpu(self) -> tuple[list[float], ...]:
        """The samples of CPU time."""
        return self.servers, self.redis, self.browsers, self.others

    @property
    def used(self) -> dict[str, float]:
        """How many cores each of them kept busy."""
        rate = median(self.rate)
        names = "servers", "Redis", "browsers", "other programs"
        return {n: median(each) * rate for n, each in zip(names, self.cpu, strict=True)}


@dataclass(frozen=True, slots=True)
class Scale:
    """One process and two."""

    one: Carried
    two: Carried

    @property
    def by_clock(self) -> float:
        """How many times as many messages two carried on this machine."""
        return median(self.two.rate) / median(self.one.rate)

    @property
    def by_cpu(self) -> float:
        """How many times as many they carry where each has a core of its own."""
        return 2 * median(self.one.servers) / median(self.two.servers)

    def at_most(self, cores: int) -> float:
        """How many times as many two could carry by the clock on ``cores`` that do nothing else."""
        servers, redis, browsers, _ = map(median, self.two.cpu)
        return cores / (servers + redis + browsers) / median(self.one.rate)


class Arrangement:
    """Servers with the same number of tabs each."""

    def __init__(self, servers: Sequence[Server], redis: RedisServer) -> None:
        self.carried = Carried()
        self._servers = servers
        self._redis = redis
        self._tabs: list[Tab] = []

    async def open(self) -> None:
        keys = [person.session_key for person in await abegin(TABS)]
        count = len(self._servers)
        by_server = [
            await connect(server, keys[n::count]) for n, server in enumerate(self._servers)
        ]
        # In turn, so that each slice of the tabs is spread over all servers.
        self._tabs = [tab for tabs in zip(*by_server, strict=True) for tab in tabs]

    async def turn(self) -> None:
        """Have each tab send ``BURST`` messages, a slice of the tabs at a time, as fast as they go."""
        before, began = self._cpu(), time.perf_counter()
        # Two lanes, so that a server has something to do while the other one finishes a slice.
        await asyncio.gather(*(self._send(lane * TABS // 2, TABS // 2) for lane in range(2)))
        count, took = TABS * BURST, time.perf_counter() - began
        self.carried.rate.append(count / took)
        for cpu, after, samples in zip(before, self._cpu(), self.carried.cpu, strict=True):
            samples.append((after - cpu) / count)

    async def _send(self, first: int, count: int) -> None:
        for start in range(first, first + count, SLICE):
            tabs = self._tabs[start : start + SLICE]
            for _ in range(BURST):
                for tab in tabs:
                    tab.send(ACTIVITY)
                await asyncio.sleep(0)
            await answered(tabs)

    def close(self) -> None:
        for tab in self._tabs:
            tab.close()

    def _cpu(self) -> list[float]:
        own = os.times()
        parts = [
            sum(server.cpu for server in self._servers),
            self._redis.cpu,
            own.user + own.system,
        ]
        return [*parts, _machine_cpu() - sum(parts)]


def _machine_cpu() -> float:
    """Return the CPU seconds that were used so far, on all cores, by whomever."""
    first, *_ = Path("/proc/stat").read_text().splitlines()
    user, nice, system, _, _, *rest = map(int, first.split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


async def scale() -> Scale:
    """Measure both by turns, each with its own processes on the same Redis."""
    with ExitStack() as stack:
        redis = stack.enter_context(on_redis())
        one, *two = (stack.enter_context(Server("ours", BENCH_REDIS=redis.url)) for _ in range(3))
        arrangements = Arrangement([one], redis), Arrangement(two, redis)
        for arrangement in arrangements:
            await arrangement.open()
        for _ in range(TURNS):
            for arrangement in arrangements:
                # The last turn's activity is written by then, and the next may be as fast.
                await asyncio.sleep(1.0)
                await arrangement.turn()
        for arrangement in arrangements:
            arrangement.close()
    return Scale(*(arrangement.carried for arrangement in arrangements))
