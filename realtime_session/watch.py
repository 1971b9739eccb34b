"""The sessions that have tabs on this event loop: when to look at the store, and what to do then."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from . import conf, metrics
from .findings import Found
from .local_session import LocalSession
from .policy import Record
from .presence import Presence
from .protocol import CloseCode
from .scheduler import Scheduler
from .store_calls import StoreCalls
from .tab import Tab
from .threads import DatabaseThreads

LOOK_IN_WARNING = 1.0
"""Seconds between two looks during a warning, by which a nudge that was lost is made good."""
NEAR_WARNING = 1.0
"""Seconds before a warning from which activity is written at once."""
LOOK_AGAIN = 0.25
"""Seconds after which an end that did not come about is tried again."""
CLOCK_GRAIN = 0.001
"""Seconds by which a look is later than its instant, so that this has passed for sure."""


class TooManyTabsError(Exception):
    """The session has ``MAX_TABS`` tabs in this process already."""


class Watch:
    """Schedules one look per session, and pushes what it finds to the session's tabs.

    ``over`` is called when there is no grace left to wait for: see ``Presence``.
    """

    def __init__(self, threads: DatabaseThreads, over: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._sessions: dict[str, LocalSession] = {}
        self._arriving: dict[Tab, set[str]] = {}
        self._scheduler = Scheduler(self._loop, self._come_up)
        self.store = StoreCalls(self, threads)
        self.presence = Presence(self._held, self.want_looks, self.store.want_end_if_due, over)

    def clear(self) -> None:
        """Forget all times at which to look."""
        self._scheduler.clear()

    @property
    def tabs(self) -> int:
        """How many tabs there are."""
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
        self._announce(session)

    def leave(self, tab: Tab, *, comes_back: bool) -> None:
        """Forget a tab, if it is one of ours; ``comes_back`` says that nobody closed it."""
        session = self._sessions.get(tab.sid)
        if session is not None and tab in session.tabs:
            session.tabs.remove(tab)
            if not session.tabs:
                self._forget(tab.sid)
                grace = session.record.policy.tab_close_grace
                if grace is not None and not comes_back:
                    self.presence.went(tab.sid, grace)

    def close_all(self, code: CloseCode) -> None:
        """Close all tabs, those that are arriving included."""
        tabs = [tab for session in self._sessions.values() for tab in session.tabs]
        for tab in (*tabs, *self._arriving):
            tab.close(code)

    def activity(self, tab: Tab) -> None:
        """Note activity in a tab; it is written at once when a deadline is near."""
        session = self._sessions.get(tab.sid)
        if session is not None:
            self.store.activity(tab.sid, urgent=self._loop.time() >= session.near_at)

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
            # The store lost the lease, or it ran out while this process stood still.
            if session.tabs and (not session.is_announced or record.closing_at is not None):
                self._announce(session)
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
        self.want_looks(list(self._sessions))

    def lost(self) -> None:
        """Look at all sessions again, and tell the store again which have tabs here."""
        for session in self._sessions.values():
            session.is_announced = False
        self.doubt_all()

    def any_sid(self) -> str | None:
        """Return the sid of some session here."""
        return next(iter(self._sessions), None)

    def records(self) -> list[Record]:
        """Return the records of all sessions here, as they were last seen."""
        return [session.record for session in self._sessions.values()]

    def want_looks(self, sids: list[str]) -> None:
        """Look soon at those of these sessions that have tabs here, or are about to."""
        for missed in self._arriving.values():
            missed.update(sids)
        for sid in sids:
            if sid in self._sessions:
                self.store.want_look(sid)

    def _announce(self, session: LocalSession) -> None:
        session.is_announced = True
        if session.record.policy.tab_close_grace is not None:
            self.presence.came(session.record.sid)

    def _held(self) -> list[str]:
        return [r.sid for r in self.records() if r.policy.tab_close_grace is not None]

    def _come_up(self, sids: list[str]) -> None:
        now = self.store.now()
        for sid in sids:
            is_due = self._sessions[sid].record.deadline_at <= now
            self._want_end(sid) if is_due else self.store.want_look(sid)

    def _want_end(self, sid: str) -> None:
        self.store.want_end_if_due(sid)
        # Should nothing come of it.
        self._scheduler.set(sid, self._loop.time() + LOOK_AGAIN)

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
