"""This process's tabs by session, on one event loop: when to look at the store, and what to do then.

A hub starts with the first socket of its loop and ends with the last, since Channels and daphne run no
ASGI lifespan. It schedules one look per session; what the look finds is pushed to the session's tabs.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from . import bus, conf, metrics
from .drain import Drain
from .identity import Identities
from .link import Link
from .local_session import LocalSession
from .policy import Record
from .presence import Presence
from .protocol import CloseCode
from .revalidator import Revalidator
from .scheduler import Scheduler
from .store_calls import Found, StoreCalls
from .sweeper import Sweeper
from .tab import Tab
from .threads import DatabaseThreads

LOOK_IN_WARNING = 1.0
NEAR_WARNING = 1.0
LOOK_AGAIN = 0.25
CLOCK_GRAIN = 0.001
THREADS = 4
CLOSE_TIMEOUT = 3.0  # for which slow tabs may keep a stopping process from writing what is left

_hubs: dict[asyncio.AbstractEventLoop, "Hub"] = {}


class TooManyTabsError(Exception):
    """The session has ``MAX_TABS`` tabs in this process already."""


class Hub:
    """See the module. Everything runs on the hub's own loop, but for ``hear``."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sessions: dict[str, LocalSession] = {}
        self._sockets = 0
        self._stopper: asyncio.Task[None] | None = None
        self._arriving: dict[Tab, set[str]] = {}
        self._is_deserted = asyncio.Event()
        self._drain = Drain(self._empty)
        self._threads = DatabaseThreads(THREADS, "realtime-session-database")
        self._scheduler = Scheduler(loop, self._come_up)
        self.identities = Identities()
        self.store = StoreCalls(self, self._threads)
        self._revalidator = Revalidator(self.identities, self.store, self._records)
        self._presence = Presence(
            self._held, self._want_looks, self.store.want_end_if_due, self._stop_if_idle
        )
        # Stopped in the other order: the link last, to send the nudges of what is written then.
        self._parts = (
            Link(self._want_looks, self.doubt_all),
            self.identities,
            self.store,
            self._presence,
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
        session = self._sessions.get(tab.sid)
        if session is not None and tab in session.tabs:
            session.tabs.remove(tab)
            if not session.tabs:
                self._forget(tab.sid)
                grace = session.record.policy.tab_close_grace
                if grace is not None and not comes_back:
                    self._presence.went(tab.sid, grace)
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
        if not self._presence.is_waiting:
            self._stop_soon()

    def _stop_soon(self) -> None:
        if _hubs.get(self._loop) is self:
            del _hubs[self._loop]
            self._drain.stop()  # now: the loop's next hub must find the server's own handler
            self._stopper = self._loop.create_task(self._stop(), name="realtime-session-stop")

    async def _empty(self) -> None:
        """Close all sockets and write what is left to write, as the process is about to stop."""
        tabs = [tab for session in self._sessions.values() for tab in session.tabs]
        for tab in (*tabs, *self._arriving):
            tab.close(CloseCode.SERVICE_RESTART)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_deserted.wait(), CLOSE_TIMEOUT)
        self._stop_soon()
        if self._stopper is not None:
            await asyncio.shield(self._stopper)

    def _start(self) -> None:
        self._drain.start()
        for part in self._parts:
            part.start()
        bus.listen(self.hear)

    async def _stop(self) -> None:
        bus.unlisten(self.hear)
        self._scheduler.clear()
        for part in reversed(self._parts):
            await part.stop()
        self._threads.stop()

    @property
    def tabs(self) -> int:
        """How many tabs this process holds on this loop."""
        return sum(len(session.tabs) for session in self._sessions.values())

    @contextmanager
    def arriving(self, tab: Tab) -> Iterator[None]:
        """While a tab's session is looked for, keep the nudges that it would miss."""
        self._arriving[tab] = set()
        try:
            yield
        finally:
            del self._arriving[tab]

    def join(self, tab: Tab, found: Found) -> None:
        """Take in a tab of a live session that was just found. Raises TooManyTabsError."""
        sid = found.record.sid
        session = self._sessions.get(sid)
        if session is None:
            session = self._sessions[sid] = LocalSession(found.record, found.status)
            metrics.held_sessions.inc()
        elif len(session.tabs) >= conf.current().max_tabs:
            raise TooManyTabsError
        self.looked(found)
        tab.sid = sid
        session.tabs.append(tab)
        if sid in self._arriving.get(tab, ()):
            self.store.want_look(sid)
        if found.record.policy.tab_close_grace is not None:
            self._presence.came(sid)

    def activity(self, tab: Tab) -> None:
        """Note activity in a tab; it is written at once when a deadline is near."""
        session = self._sessions.get(tab.sid)
        if session is not None:
            self.store.activity(tab.sid, urgent=self._loop.time() >= session.near_at)

    async def extend(self, tab: Tab) -> Found | None:
        """Move the idle deadline and tell the other tabs; None if the session is no more.

        Raises StoreUnavailable: then nothing was moved.
        """
        if tab.sid not in self._sessions or not await self._revalidator.allows(tab.sid):
            return None
        tab.awaits_extended = True
        try:
            return await self.store.extend(tab.sid)
        finally:
            tab.awaits_extended = False

    def hear(self, sids: list[str]) -> None:
        """Look again at what was nudged; callable from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._want_looks, sids)

    def known(self, sid: str) -> Record | None:
        """Return the record of a session that has tabs here, as it was last seen."""
        session = self._sessions.get(sid)
        return None if session is None else session.record

    def looked(self, found: Found) -> None:
        """Push what is news, and set the time of the next look."""
        record, now, status = found.record, found.now, found.status
        session = self._sessions.get(record.sid)
        if session is None:
            return
        if found.is_live:
            if record.closing_at is not None and session.tabs:
                # This process stood still, and its lease ran out.
                self._presence.came(record.sid)
            session.update(record, status, now)
            self._arm(session, found)
        elif found.is_due:
            self._want_end(record.sid)
        else:
            self._forget(record.sid)
            session.expire(record, status.reason, now)

    def touched(self, found: Found) -> None:
        """Take in a touched record; the timer stays where it is unless the phase changed."""
        session = self._sessions.get(found.record.sid)
        if session is None:
            return
        session.record = found.record
        if found.status.phase is not session.phase:
            self.looked(found)
        session.ask_refresh(found.now)

    def unavailable(self, sids: list[str]) -> None:
        """Tell the tabs that the store does not answer."""
        for session in filter(None, map(self._sessions.get, sids)):
            session.say_unavailable(self.store.now())

    def doubt_all(self) -> None:
        """Look at all sessions again: nothing may be as it was told."""
        self._want_looks(list(self._sessions))

    def any_sid(self) -> str | None:
        """Return the sid of some session here."""
        return next(iter(self._sessions), None)

    def _held(self) -> list[str]:
        return [r.sid for r in self._records() if r.policy.tab_close_grace is not None]

    def _records(self) -> list[Record]:
        return [session.record for session in self._sessions.values()]

    def _come_up(self, sids: list[str]) -> None:
        now = self.store.now()
        for sid in sids:
            is_due = self._sessions[sid].record.deadline_at <= now
            self._want_end(sid) if is_due else self.store.want_look(sid)

    def _want_end(self, sid: str) -> None:
        self.store.want_end_if_due(sid)
        # Should nothing come of it.
        self._scheduler.set(sid, self._loop.time() + LOOK_AGAIN)

    def _want_looks(self, sids: list[str]) -> None:
        for missed in self._arriving.values():
            missed.update(sids)
        for sid in sids:
            if sid in self._sessions:
                self.store.want_look(sid)

    def _arm(self, session: LocalSession, found: Found) -> None:
        status = found.status
        warns_at = self.store.loop_time(found.now + status.warns_in)
        session.near_at = warns_at - NEAR_WARNING
        if status.warns_in:
            look_at = warns_at
        else:
            look_at = self.store.loop_time(found.now + min(status.expires_in, LOOK_IN_WARNING))
        refresh_at = self.store.loop_time(found.now + session.look_for_refresh(found.now))
        look_at = min(look_at, refresh_at)
        self._scheduler.set(session.record.sid, look_at + CLOCK_GRAIN)

    def _forget(self, sid: str) -> None:
        if self._sessions.pop(sid, None) is not None:
            metrics.held_sessions.dec()
        self._scheduler.discard(sid)
