"""When a session is active, when to warn, when it has ended: pure functions of a record and a clock.

Nothing here does I/O, reads a setting or owns a clock. Instants (``…_at``, ``now``) are epoch seconds
of the store's clock; durations are seconds.
"""

import enum
import math
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

DAY = 86_400.0


class Phase(enum.StrEnum):
    """Where a session stands; computed from its record, never stored."""

    ACTIVE = "active"
    WARNING = "warning"
    ENDED = "ended"


class EndReason(enum.StrEnum):
    """Why a session ended; the words are those of the wire protocol."""

    IDLE = "idle"
    ABSOLUTE = "absolute"
    LOGOUT = "logout"
    REVOKED = "revoked"
    CLOSED = "closed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Policy:
    """How long one session may live; copied into its record at login.

    All durations are seconds. ``idle_timeout`` is the longest time without activity, ``warn_before``
    how long before the end people are told, ``absolute_timeout`` the longest time since login
    (None: no limit), ``tab_close_grace`` how long a session outlives its last tab (None: for as long
    as its other deadlines allow). Mere activity ends a warning only if
    ``activity_extends_in_warning``; else the person must choose to stay.

    Raises ValueError, naming the field, for what no session could follow.
    """

    idle_timeout: float = 900.0
    warn_before: float = 120.0
    absolute_timeout: float | None = None
    tab_close_grace: float | None = None
    activity_extends_in_warning: bool = False

    def __post_init__(self) -> None:
        for name in ("idle_timeout", "warn_before", "absolute_timeout", "tab_close_grace"):
            value = getattr(self, name)
            optional = name in ("absolute_timeout", "tab_close_grace")
            if value is None and optional:
                continue
            if value is None or not math.isfinite(value) or value <= 0:
                raise ValueError(f"{name} must be a positive number of seconds, not {value!r}")
        for name in ("idle_timeout", "absolute_timeout"):
            value = getattr(self, name)
            if value is not None and value <= self.warn_before:
                raise ValueError(f"{name} must be longer than warn_before ({self.warn_before:g} s)")


_MINUTE, _HOUR = 60.0, 3600.0
PRESETS: dict[str, Policy] = {
    # NIST SP 800-63B-4, 2.2.3: overall 24 hours, inactivity 1 hour.
    "nist_aal2": Policy(_HOUR, 5 * _MINUTE, absolute_timeout=24 * _HOUR),
    # NIST SP 800-63B-4, 2.3.3: overall 12 hours, inactivity 15 minutes.
    "nist_aal3": Policy(15 * _MINUTE, 2 * _MINUTE, absolute_timeout=12 * _HOUR),
    # PCI DSS 4.0.1, 8.2.8: idle for more than 15 minutes.
    "pci_dss": Policy(15 * _MINUTE, 2 * _MINUTE),
    # OWASP Session Management Cheat Sheet: idle 2 to 5 minutes for high-value applications,
    # 15 to 30 minutes for low-risk ones; absolute 4 to 8 hours.
    "owasp_high_risk": Policy(5 * _MINUTE, _MINUTE, absolute_timeout=4 * _HOUR),
    "owasp_low_risk": Policy(30 * _MINUTE, 2 * _MINUTE, absolute_timeout=8 * _HOUR),
}
"""Policies that rules ask for, by name; the warnings, at least 60 seconds, are our own choice."""


INSTANTS = (
    *("started_at", "last_activity_at", "fixed_end_at", "joined_at", "paged_at", "closing_at"),
    *("saved_at", "ended_at"),
)
_HIDDEN = "session_key", "credentials"


class Record(msgspec.Struct, frozen=True, gc=False):
    """The facts about one monitored session, as the store keeps them.

    ``sid`` is its opaque id. ``session_key`` is the latest key of the Django session, "" where the engine
    cannot revoke by key; then ``credentials`` say by what its user logged in. Neither is to be shown or
    logged. ``fixed_end_at`` and ``idle_cap`` (seconds) are what the project set with ``set_expiry``.
    ``saved_at`` and ``cookie_age`` say when Django last saved its session and for how many seconds that
    save holds. ``joined_at`` and ``paged_at`` say when a tab last connected and a page was last opened,
    ``closing_at`` when the session ends because its last tab went. ``finished`` is true once an end was
    fully dealt with.
    """

    sid: str
    user_id: str
    started_at: float
    last_activity_at: float
    policy: Policy = msgspec.field(default_factory=Policy)
    session_key: str = ""
    credentials: str = ""
    idle_cap: float | None = None
    fixed_end_at: float | None = None
    joined_at: float = 0.0
    paged_at: float = 0.0
    closing_at: float | None = None
    saved_at: float = 0.0
    cookie_age: float = 0.0
    ended_at: float | None = None
    end_reason: EndReason | None = None
    finished: bool = False
    ip_address: str = ""
    user_agent: str = ""

    def __repr__(self) -> str:
        shown = [name for name in self.__struct_fields__ if name not in _HIDDEN]
        return f"Record({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    @property
    def idle_limit(self) -> float:
        """The idle timeout in force: the policy's, or the project's for this session if that is shorter."""
        timeout, cap = self.policy.idle_timeout, self.idle_cap
        return min(timeout, cap) if cap else timeout

    @property
    def warn_limit(self) -> float:
        """How long before the end people are told: the policy's, if the idle timeout leaves room for it."""
        idle_limit, warn_before = self.idle_limit, self.policy.warn_before
        return warn_before if idle_limit > warn_before else idle_limit / 2

    @property
    def idle_end_at(self) -> float:
        """When the session ends if nothing more happens, other limits aside."""
        return self.last_activity_at + self.idle_limit

    @property
    def absolute_end_at(self) -> float | None:
        """The instant that no activity moves: absolute timeout or fixed end; None without either."""
        fixed_end_at, timeout = self.fixed_end_at, self.policy.absolute_timeout
        if timeout is None:
            return fixed_end_at
        timed_out_at = self.started_at + timeout
        return timed_out_at if fixed_end_at is None else min(fixed_end_at, timed_out_at)

    @property
    def expires_at(self) -> float:
        """When the session ends if nothing more happens and a tab stays open."""
        absolute_end_at = self.absolute_end_at
        return (
            self.idle_end_at if absolute_end_at is None else min(self.idle_end_at, absolute_end_at)
        )

    @property
    def deadline_at(self) -> float:
        """When the session ends if nothing more happens."""
        return self.expires_at if self.closing_at is None else min(self.expires_at, self.closing_at)

    def joined(self, now: float) -> "Record":
        """The record after a tab connected."""
        return replace(self, joined_at=now, closing_at=None)

    def left(self, now: float) -> "Record":
        """The record after its last tab went.

        It begins to close, unless a page was opened that has not connected: that one may hold no monitor,
        or be about to load. So neither a reload nor a page without the monitor ends a session.
        """
        grace = self.policy.tab_close_grace
        if grace is None or self.paged_at > self.joined_at:
            return self
        return replace(self, closing_at=now + grace)

    def shifted(self, by: float) -> "Record":
        """The same record in a timebase that is ``by`` seconds ahead."""
        moved = {
            name: value + by for name in INSTANTS if (value := getattr(self, name)) is not None
        }
        return replace(self, **moved)


class Status(msgspec.Struct, frozen=True, gc=False):
    """What a record means at one instant. Durations are seconds from then, never negative.

    ``reason`` is the reason of the end in phase ended, else which deadline is the nearer: idle or
    absolute. ``can_extend`` is false where choosing to stay could not move the end.
    """

    phase: Phase
    reason: EndReason
    expires_in: float
    warns_in: float
    can_extend: bool
    absolute_expires_in: float | None


def evaluate(record: Record, now: float) -> Status:
    """Say what the record means at ``now``. A deadline is reached at its very instant, not after it."""
    # Each limit once: this runs for every message, and for thousands of sessions when a storm of ends comes.
    idle_end_at, absolute_end_at = record.idle_end_at, record.absolute_end_at
    if absolute_end_at is None or idle_end_at < absolute_end_at:
        expires_at, nearer, idle_is_nearer = idle_end_at, EndReason.IDLE, True
    else:
        expires_at, nearer, idle_is_nearer = absolute_end_at, EndReason.ABSOLUTE, False
    warn_limit = record.warn_limit
    expires_in = max(0.0, expires_at - now)
    if record.closing_at is not None and record.closing_at <= min(now, expires_at):
        expires_in, nearer = 0.0, EndReason.CLOSED
    if record.ended_at is not None:
        phase, reason, expires_in = Phase.ENDED, record.end_reason or EndReason.UNKNOWN, 0.0
    else:
        phase, reason = _phase(expires_in, warn_limit), nearer
    return Status(
        phase=phase,
        reason=reason,
        expires_in=expires_in,
        warns_in=max(0.0, expires_in - warn_limit),
        can_extend=phase is not Phase.ENDED and idle_is_nearer,
        absolute_expires_in=None if absolute_end_at is None else max(0.0, absolute_end_at - now),
    )


def _phase(expires_in: float, warn_before: float) -> Phase:
    if expires_in <= 0:
        return Phase.ENDED
    return Phase.WARNING if expires_in <= warn_before else Phase.ACTIVE


def touched(record: Record, at: float, *, extend: bool = False, page: bool = False) -> Record:
    """The record after activity at the instant ``at``: later, or the very same object if it did not count.

    It does not count once the session is ended or was past its deadline at ``at``; nor during the warning,
    unless the person chose to stay (``extend``) or the policy lets mere activity do. A ``page`` that was
    opened keeps the session from closing, too.
    """
    phase = evaluate(record, at).phase
    if phase is Phase.ENDED:
        return record
    if page and at > record.paged_at:
        record = replace(record, paged_at=at, closing_at=None)
    allowed = phase is Phase.ACTIVE or extend or record.policy.activity_extends_in_warning
    if not allowed or at <= record.last_activity_at:
        return record
    return replace(record, last_activity_at=at)
