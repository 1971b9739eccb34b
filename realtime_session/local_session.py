"""One session's tabs in this process: what they were told last, and what to tell them next."""

import math
from collections.abc import Callable

from msgspec import UNSET, UnsetType

from . import metrics, presenter
from .policy import EndReason, Phase, Record, Status
from .protocol import CloseCode, Error, Expired, Refresh, ServerMessage
from .tab import Tab

REFRESH_RETRY = 5.0
"""Seconds that a tab has to renew the cookie before another one is asked."""


class LocalSession:
    """Tells the tabs what changes, and only that. ``now`` is the store's clock throughout."""

    __slots__ = (
        "_asked_at",
        "is_announced",
        "near_at",
        "phase",
        "reason",
        "record",
        "tabs",
        "troubled",
    )

    def __init__(self, record: Record, status: Status) -> None:
        self.tabs: list[Tab] = []
        self.record = record
        self.phase = status.phase
        self.reason = status.reason
        self.near_at = 0.0
        """The loop's time from which activity cannot wait for the next tick."""
        self.is_announced = True
        """Whether the store was told that tabs are here, and has not lost it since."""
        self.troubled = False
        self._asked_at = 0.0

    def update(self, record: Record, status: Status, now: float) -> None:
        """Take in what the store says of the live session, and push it where it is news."""
        self.record = record
        self.troubled = False
        told, self.phase, self.reason = (self.phase, self.reason), status.phase, status.reason
        if status.phase is Phase.WARNING and told != (status.phase, status.reason):
            self._push(lambda tab: presenter.warning(status, now))
            if told[0] is Phase.ACTIVE:
                metrics.pushed_warning(record, status)
        elif status.phase is Phase.ACTIVE and told[0] is Phase.WARNING:
            others = [tab for tab in self.tabs if not tab.awaits_extended]
            self._push(lambda tab: presenter.extended(status, now), others)

    def expire(self, record: Record, reason: EndReason, now: float) -> None:
        """Push the end and close the sockets."""
        self._push(lambda tab: expired(tab, reason, now))
        metrics.pushed_end(record, now)
        for tab in self.tabs:
            tab.close(CloseCode.ENDED)

    def say_unavailable(self, now: float) -> None:
        """Say once, for as long as it lasts, that the store does not answer."""
        if not self.troubled:
            self.troubled = True
            self._push(lambda tab: unavailable(now))

    def ask_refresh(self, now: float) -> None:
        """Have one tab renew cookie and Django session, once half of what the last save gave has passed.

        A session with a fixed end is left to it. A clock that was set back is no reason to wait.
        """
        record = self.record
        half_gone = record.cookie_age and abs(now - record.saved_at) > record.cookie_age / 2
        is_asked = (
            self._asked_at > record.saved_at and abs(now - self._asked_at) < self._refresh_retry
        )
        if not half_gone or record.fixed_end_at is not None or is_asked or not self.tabs:
            return
        # Another tab's turn next time: this one may be frozen.
        self.tabs.append(self.tabs.pop(0))
        tab = self.tabs[-1]
        with presenter.in_place_of_request(tab.language, tab.script_name):
            url = presenter.refresh_url()
        if url is not None:
            self._asked_at = now
            tab.push(Refresh(at=now, url=url))

    def look_for_refresh(self, now: float) -> float:
        """Do so as well where Django's session would lapse before ours, though nobody is active by now.

        Returns in how many seconds to look again: infinitely many where it would not lapse.
        """
        record = self.record
        lapses_at = record.saved_at + record.cookie_age
        is_kept = not record.cookie_age or lapses_at >= record.expires_at
        if is_kept or record.fixed_end_at is not None:
            return math.inf
        self.ask_refresh(now)
        return max(lapses_at - record.cookie_age / 2 - now, self._refresh_retry)

    @property
    def _refresh_retry(self) -> float:
        return min(REFRESH_RETRY, self.record.cookie_age / 8)

    def _push(
        self, message_for: Callable[[Tab], ServerMessage], tabs: list[Tab] | None = None
    ) -> None:
        for tab in list(self.tabs) if tabs is None else tabs:
            tab.push(message_for(tab))


def expired(tab: Tab, reason: EndReason, now: float) -> Expired:
    """Return the end as this tab is to hear it."""
    return presenter.expired(reason, now, tab.language, tab.script_name)


def unavailable(now: float, id: str | UnsetType = UNSET) -> Error:
    """Return the answer to what could not be done because the store does not answer."""
    detail = "The server cannot reach its store just now."
    return Error(at=now, code="unavailable", detail=detail, id=id)
