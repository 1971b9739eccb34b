"""What the store says of a session, and who is told."""

from typing import Protocol

from .policy import Phase, Record, evaluate


class Found:
    """What the store said of one session, at its own ``now``, and what that means."""

    __slots__ = "now", "record", "status"

    def __init__(self, record: Record, now: float) -> None:
        self.record = record
        self.now = now
        self.status = evaluate(record, now)

    @property
    def is_live(self) -> bool:
        """Whether the session may be served."""
        return self.status.phase is not Phase.ENDED

    @property
    def is_due(self) -> bool:
        """Whether the session is past its deadline, and nobody has ended it yet."""
        return self.record.ended_at is None and not self.is_live


class Listener(Protocol):
    """Who is told what the store says, whoever asked for it."""

    def known(self, sid: str) -> Record | None:
        """Return the record of a session that has tabs here, as it was last seen."""

    def looked(self, found: Found) -> None:
        """Take in what a look found."""

    def touched(self, found: Found) -> None:
        """Take in a record after activity."""

    def unavailable(self, sids: list[str]) -> None:
        """Know that the store does not answer for these sessions."""

    def doubt_all(self) -> None:
        """Look at all sessions: the store's clock was set."""

    def lost(self) -> None:
        """Look at all, and tell again which have tabs here: the store may have lost anything."""

    def any_sid(self) -> str | None:
        """Return the sid of a session that has tabs here, None if none has."""
