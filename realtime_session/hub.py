"""This process's tabs by session, on one event loop: when to look at the store, and what to do then.

A hub starts with the first socket of its loop and ends with the last, since Channels and daphne run no
ASGI lifespan. It schedules one look per session; what the look finds is pushed to the session's tabs.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from . import bus, conf, monitor
from .batcher import Batcher
from .identity import Identities, Identity
from .link import Link
from .local_session import LocalSession
from .policy import EndReason, Phase, Record, Status, evaluate, touched
from .scheduler import Scheduler
from .stores import get_store
from .stores.base import Records
from .sweeper import Sweeper
from .tab import Tab
from .threads import DatabaseThreads

T = TypeVar("T")

ACTIVITY_TICK = 0.25
LOOK_IN_WARNING = 1.0
NEAR_WARNING = 1.0
LOOK_AGAIN = 0.25
CLOCK_GRAIN = 0.001
THREADS = 4

_hubs: dict[asyncio.AbstractEventLoop, "Hub"] = {}


class Found(NamedTuple):
    """What the store said of one session, at its own ``now``."""

    record: Record
    now: float

    @property
    def status(self) -> Status:
        """What that means."""
        return evaluate(self.record, self.now)

    @property
    def is_due(self) -> bool:
        """Whether the session is past its deadline, and nobody has ended it yet."""
        return self.record.ended_at is None and self.status.phase is Phase.ENDED


class TooManyTabsError(Exception):
    """The session has ``MAX_TABS`` tabs in this process already."""


class Hub:
    """See the module. Everything runs on the hub's own loop, but for ``hear``."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._store = get_store()
        self._sessions: dict[str, LocalSession] = {}
        self._sockets = 0
        self._ahead = time.time() - loop.time()
        self._threads = DatabaseThreads(THREADS, "realtime-session-database")
        self._scheduler = Scheduler(loop, self._want_looks)
        self._identities = Identities()
        self._looks = Batcher("look", self._look, unavailable=self._say_unavailable)
        self._touches = Batcher(
            "activity", self._touch, delay=ACTIVITY_TICK, unavailable=self._say_unavailable
        )
        self._extends = Batcher("extend", self._extend, keep=False)
        self._ends = Batcher("end", self._end, unavailable=self._say_unavailable)
        self._askers = self._identities, self._touches, self._extends, self._ends, self._looks
        self._sweeper = Sweeper(self.run_blocking)
        self._link = Link(self._want_looks, self._want_all_looks)

    @classmethod
    def attach(cls) -> "Hub":
        """Return the running loop's hub for a socket that opened; ``detach`` when it is gone."""
        loop = asyncio.get_running_loop()
        hub = _hubs.get(loop)
        if hub is None:
            hub = _hubs[loop] = cls(loop)
            hub._start()
        hub._sockets += 1
        return hub

    async def detach(self, tab: Tab) -> None:
        """Forget a socket; with the last one the hub writes what it still has to write, and ends."""
        session = self._sessions.get(tab.sid)
        if session is not None and tab in session.tabs:
            session.tabs.remove(tab)
            if not session.tabs:
                self._forget(tab.sid)
        await tab.drop()
        self._sockets -= 1
        if not self._sockets:
            del _hubs[self._loop]
            await self._stop()

    def _start(self) -> None:
        self._store.start()
        for part in self._askers:
            part.start()
        self._sweeper.start()
        self._link.start()
        bus.listen(self.hear)

    async def _stop(self) -> None:
        bus.unlisten(self.hear)
        self._scheduler.clear()
        await self._sweeper.stop()
        for part in self._askers:
            await part.stop()
        await self._link.stop()
        self._threads.stop()
        await self._store.astop()

    @property
    def tabs(self) -> int:
        """How many tabs this process holds on this loop."""
        return sum(len(session.tabs) for session in self._sessions.values())

    def now(self) -> float:
        """Return the store's clock, as far as the store's last answer tells: epoch seconds."""
        return self._loop.time() + self._ahead

    async def run_blocking(self, job: Callable[..., T], *args: Any) -> T:
        """Run database work on the hub's own threads."""
        return await self._threads.run(job, *args)

    async def identify(self, session_key: str) -> Identity | None:
        """Say whom a cookie stands for. Raises what the project's engine or backend does when down."""
        return await self._identities.find(session_key)

    async def find(self, sid: str) -> Found | None:
        """Look at a session now; end it first if it is due. Raises StoreUnavailable."""
        found = await self._looks.ask(sid, None)
        if found is not None and found.is_due:
            await self._ends.ask(sid, None)
            found = await self._looks.ask(sid, None)
        return found

    async def why_gone(self, session_key: str) -> EndReason | None:
        """Say why a cookie's Django session is gone, None if not because we ended it."""
        record = await self._store.afind_ended(session_key)
        return None if record is None else record.end_reason

    def join(self, tab: Tab, found: Found) -> None:
        """Take in a tab of a live session that was just found. Raises TooManyTabsError."""
        sid = found.record.sid
        session = self._sessions.get(sid)
        if session is None:
            session = self._sessions[sid] = LocalSession(found.record, found.status)
        elif len(session.tabs) >= conf.current().max_tabs:
            raise TooManyTabsError
        self._apply(found)
        tab.sid = sid
        session.tabs.append(tab)

    def activity(self, tab: Tab) -> None:
        """Note activity in a tab: written with the next tick, at once when a deadline is near."""
        session = self._sessions.get(tab.sid)
        if session is not None:
            now = self._loop.time()
            self._touches.add(tab.sid, now, urgent=now >= session.near_at)

    async def extend(self, tab: Tab) -> Found | None:
        """Move the idle deadline and tell the other tabs; None if the session is no more.

        Raises StoreUnavailable: then nothing was moved.
        """
        if tab.sid not in self._sessions:
            return None
        tab.awaits_extended = True
        try:
            return await self._extends.ask(tab.sid, None)
        finally:
            tab.awaits_extended = False

    async def end(self, tab: Tab, reason: EndReason) -> None:
        """End a tab's session everywhere. Raises StoreUnavailable."""
        await self._ends.ask(tab.sid, reason)

    def hear(self, sids: list[str]) -> None:
        """Look again at what was nudged; callable from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._want_looks, sids)

    def _want_looks(self, sids: list[str]) -> None:
        for sid in sids:
            if sid in self._sessions:
                self._looks.add(sid, None)

    def _want_all_looks(self) -> None:
        self._want_looks(list(self._sessions))

    async def _look(self, batch: dict[str, None]) -> dict[str, Found]:
        now, records = await self._store.aget(batch)
        self._ahead = now - self._loop.time()
        for lost in [self._sessions[sid].record for sid in batch if self._lost(sid, records)]:
            # The store came back empty: nobody who is connected shall be logged out by that.
            opened = await self._store.aopen(lost, now)
            records |= {lost.sid: opened} if opened else {}
        found = {sid: Found(record, now) for sid, record in records.items()}
        for each in found.values():
            self._apply(each)
        return found

    def _lost(self, sid: str, records: Records) -> bool:
        return sid in self._sessions and sid not in records

    async def _touch(self, batch: dict[str, float]) -> dict[str, Found]:
        ages = {sid: max(0.0, self._loop.time() - at) for sid, at in batch.items()}
        return await self._store_touch(ages, extend=False)

    async def _extend(self, batch: dict[str, None]) -> dict[str, Found]:
        return await self._store_touch(dict.fromkeys(batch, 0.0), extend=True)

    async def _store_touch(self, ages: dict[str, float], *, extend: bool) -> dict[str, Found]:
        now, before = await self._store.atouch(ages, extend)
        self._ahead = now - self._loop.time()
        found = {}
        for sid, record in before.items():
            after = touched(record, now - ages[sid], extend=extend)
            found[sid] = Found(after, now)
            self._note(found[sid])
            if monitor.ended_warning(record, after, now):
                bus.nudge([sid])
        self._want_looks([sid for sid in ages if sid not in before])
        return found

    def _note(self, found: Found) -> None:
        """Take in a touched record; the timer stays where it is unless the phase changed."""
        session = self._sessions.get(found.record.sid)
        if session is None:
            return
        session.record = found.record
        if found.status.phase is not session.phase:
            self._apply(found)
        session.ask_refresh(found.now)

    def _apply(self, found: Found) -> None:
        """Push what is news, and set the time of the next look."""
        record, now, status = found.record, found.now, found.status
        session = self._sessions.get(record.sid)
        if session is None:
            return
        if status.phase is not Phase.ENDED:
            session.update(record, status, now)
            self._arm(session, status)
        elif found.is_due:
            self._ends.add(record.sid, None)
            # What comes next is the nudge of the end; should it not come, look.
            self._scheduler.set(record.sid, self._loop.time() + LOOK_AGAIN)
        else:
            self._forget(record.sid)
            session.expire(status.reason, now)

    def _arm(self, session: LocalSession, status: Status) -> None:
        look_in = status.warns_in or min(status.expires_in, LOOK_IN_WARNING)
        now = self._loop.time()
        session.near_at = now + status.warns_in - NEAR_WARNING
        self._scheduler.set(session.record.sid, now + look_in + CLOCK_GRAIN)

    def _forget(self, sid: str) -> None:
        self._sessions.pop(sid, None)
        self._scheduler.discard(sid)

    async def _end(self, batch: dict[str, EndReason | None]) -> dict[str, None]:
        for sid, reason in batch.items():
            record = await self._store.aend(sid, reason or EndReason.IDLE, reason is None)
            if record is not None:
                self._threads.submit(monitor.settle, record)
        return {}

    def _say_unavailable(self, sids: list[str]) -> None:
        for sid in sids:
            if sid in self._sessions:
                self._sessions[sid].say_unavailable(self.now())
