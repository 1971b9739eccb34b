"""Something happens to many sessions at once, and another process tells their tabs."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from subprocess import PIPE

from .client import Tab
from .measures import SETTLE, connect
from .on_redis import on_redis
from .people import abegin
from .sender import READY
from .server import Server

PATIENCE = 60.0
TURNS = 5


class Crowd:
    """The tabs of one server, and what their sessions are called where they are told.

    ``took``: seconds until all had heard. ``cpu``: the server's CPU seconds for each tab.
    """

    def __init__(
        self, server: Server, names: Sequence[str], tabs: Sequence[Tab], redis: str
    ) -> None:
        self.took: list[float] = []
        self.cpu: list[float] = []
        self._server = server
        self._names = "\n".join(names)
        self._environment = os.environ | {"BENCH_REDIS": redis}
        self._tabs = tabs

    async def turn(self) -> None:
        """Note how long it takes until all have heard ``warning``, and have them wait for the next one."""
        took, cpu = await self._tell("warning")
        self.took.append(took)
        self.cpu.append(cpu / len(self._tabs))
        await self._tell("extended")

    async def _tell(self, what: str) -> tuple[float, float]:
        heard = asyncio.gather(*(tab.next(what) for tab in self._tabs))
        began, cpu = await asyncio.to_thread(self._send, what)
        last = max(each.at for each in await asyncio.wait_for(heard, PATIENCE))
        return last - began, self._server.cpu - cpu

    def _send(self, what: str) -> tuple[float, float]:
        """Return when the sender began, and what the server had used by then."""
        command = [sys.executable, "-m", "bench.sender", self._server.side, what]
        with subprocess.Popen(
            command, env=self._environment, stdin=PIPE, stdout=PIPE, text=True
        ) as sender:
            assert sender.stdin is not None
            assert sender.stdout is not None
            print(self._names, READY, sep="\n", file=sender.stdin, flush=True)
            if sender.stdout.readline().strip() != READY:
                raise RuntimeError("the sender failed")
            cpu = self._server.cpu
            began, _ = sender.communicate("go\n", timeout=PATIENCE)
        return float(began), cpu


async def storm(tabs: int, program: str) -> tuple[Crowd, Crowd]:
    """Return what was noted of the turns of ours and of stock.

    One session each. Raises TimeoutError if one does not hear.
    """
    with (
        on_redis() as redis,
        Server("ours", program, BENCH_REDIS=redis.url) as ours,
        Server("stock", program, BENCH_REDIS=redis.url) as stock,
    ):
        ours_people, stock_people = await abegin(tabs), await abegin(tabs)
        ours_tabs = await connect(ours, [person.session_key for person in ours_people])
        stock_tabs = await connect(stock, [person.session_key for person in stock_people])
        crowds = (
            Crowd(ours, [person.sid for person in ours_people], ours_tabs, redis.url),
            Crowd(stock, [person.session_key for person in stock_people], stock_tabs, redis.url),
        )
        await asyncio.sleep(SETTLE)
        for _ in range(TURNS):
            for crowd in crowds:
                await crowd.turn()
        for tab in (*ours_tabs, *stock_tabs):
            tab.close()
    return crowds
