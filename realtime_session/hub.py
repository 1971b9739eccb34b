"""What serves the tabs of one event loop, from its first socket to its last.

A hub starts with the first socket of its loop and ends with the last, since Channels and daphne run no
ASGI lifespan. When the process is told to stop, it closes all sockets and writes what is left to write.
"""

import asyncio
from contextlib import suppress

from . import bus
from .drain import Drain
from .findings import Found
from .forks import in_each_fork
from .identity import Identities
from .link import Link
from .protocol import CloseCode
from .revalidator import Revalidator
from .sweeper import Sweeper
from .tab import Tab
from .threads import DatabaseThreads
from .watch import Watch
from .writer import Writer

THREADS = 4
CLOSE_TIMEOUT = 3.0  # for which slow tabs may keep a stopping process from writing what is left

_hubs: dict[asyncio.AbstractEventLoop, "Hub"] = {}


@in_each_fork
def _begin_anew() -> None:
    for hub in _hubs.values():
        with suppress(ValueError):  # it was about to start, or stopping
            bus.unlisten(hub.hear)
    _hubs.clear()


class Hub:
    """See the module. Everything runs on the hub's own loop, but for ``hear``."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sockets = 0
        self._stopper: asyncio.Task[None] | None = None
        self._is_deserted = asyncio.Event()
        self._drain = Drain(self._empty)
        self._threads = DatabaseThreads(THREADS, "realtime-session-database")
        self.watch = Watch(self._threads, self._stop_if_idle)
        self.store = self.watch.store
        self.writer = Writer()
        self.identities = Identities()
        self._revalidator = Revalidator(self.identities, self.store, self.watch.records)
        # Stopped in the other order: the link last, to send the nudges of what is written then.
        self._parts = (
            Link(bus.tell_this_process, self.watch.doubt_all),
            self.identities,
            self.store,
            self.watch.presence,
            self._revalidator,
            Sweeper(self._threads.run),
        )

    @classmethod
    def attach(cls) -> "Hub":
        """Return the running loop's hub for a socket that opened; ``detach`` when it is gone."""
        loop = asyncio.get_running_loop()
        hub = _hubs.get(loop)
        if hub is None:
            hub = _hubs[loop] = cls(loop)
            hub._start()
        hub._sockets += 1
        hub._is_deserted.clear()
        return hub

    async def detach(self, tab: Tab, *, comes_back: bool = False) -> None:
        """Forget a socket; with the last one the hub writes what it still has to write, and ends.

        ``comes_back`` says that it went because the server stops, not because a person closed it.
        """
        self.watch.leave(tab, comes_back=comes_back)
        try:
            await tab.drop()
        finally:
            self._sockets -= 1
            self._stop_if_idle()
            if self._stopper is not None:
                # Shielded: the server may cancel the socket that went last, but not what it leaves to do.
                await asyncio.shield(self._stopper)

    def _stop_if_idle(self) -> None:
        if self._sockets:
            return
        self._is_deserted.set()
        if not self.watch.presence.is_waiting:
            self._stop_soon()

    def _stop_soon(self) -> None:
        if _hubs.get(self._loop) is self:
            del _hubs[self._loop]
            self._drain.stop()  # now: the loop's next hub must find the server's own handler
            self._stopper = self._loop.create_task(self._stop(), name="realtime-session-stop")

    async def _empty(self) -> None:
        """Close all sockets and write what is left to write, as the process is about to stop."""
        self.watch.close_all(CloseCode.SERVICE_RESTART)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_deserted.wait(), CLOSE_TIMEOUT)
        self._stop_soon()
        if self._stopper is not None:
            await asyncio.shield(self._stopper)
        # What follows the last ends: a process that exits takes its threads along.
        await self._threads.wait()

    def _start(self) -> None:
        self._drain.start()
        for part in self._parts:
            part.start()
        bus.listen(self.hear)

    async def _stop(self) -> None:
        bus.unlisten(self.hear)
        self.watch.clear()
        for part in reversed(self._parts):
            await part.stop()
        self._threads.stop()

    @property
    def tabs(self) -> int:
        """How many tabs this process holds on this loop."""
        return self.watch.tabs

    async def extend(self, tab: Tab) -> Found | None:
        """Move the idle deadline and tell the other tabs; None if the session is no more.

        Raises StoreUnavailable: then nothing was moved.
        """
        if self.watch.known(tab.sid) is None or not await self._revalidator.allows(tab.sid):
            return None
        tab.awaits_extended = True
        try:
            return await self.store.extend(tab.sid)
        finally:
            tab.awaits_extended = False

    def hear(self, sids: list[str]) -> None:
        """Look again at what was nudged; callable from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.watch.want_looks, sids)
