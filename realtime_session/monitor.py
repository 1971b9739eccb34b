"""The use cases: look at a session, extend it, end it, and say so.

The public API for projects is ``end_session``, ``end_user_sessions``, ``extend_session`` and
``sessions_for``, each with an async twin that has the prefix ``a``. Any of them raises StoreUnavailable
where the store does not answer.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends.base import SessionBase
from django.db.models import Model
from django.http import HttpRequest

from . import bus, engine
from .losses import expect_all, told_again, was_missing
from .policy import EndReason, Phase, Policy, Record, Status, evaluate, touched
from .settling import catch_up, settle
from .stores import StoreUnavailable, get_store

SWEEP_BATCH = 500
SETTLE_AFTER = 300.0
"""Seconds that the process which ended a session has to settle it, before the sweep of another does.

Receivers of ``session_ended`` that take longer than this may be called twice.
"""
MOST_LOOKS = 5
"""Looks at a session that is past its deadline, and always was active or ended by somebody else just then."""


def look(sid: str) -> tuple[float, Record | None]:
    """Return the store's now and the record, None if the session is over. Never counts as activity."""
    now, records = get_store().get([sid])
    return now, records.get(sid) or told_again(sid)


def has_ended(sid: str) -> bool:
    """Say whether a session is over, or its record gone."""
    now, record = look(sid)
    return record is None or evaluate(record, now).phase is Phase.ENDED


def touch(sid: str, *, extend: bool = False, page: bool = False) -> tuple[float, Record | None]:
    """Note activity in this very moment; return the store's now and the record as it is thereafter.

    Nudges where that ended a warning. What does not count, by ``policy.touched``, changes nothing.
    """
    now, records = get_store().touch({sid: 0.0}, extend, page)
    if sid not in records and told_again(sid):
        now, records = get_store().touch({sid: 0.0}, extend, page)
    before = records.get(sid)
    if before is None:
        return now, None
    after = touched(before, now, extend=extend, page=page)
    if ended_warning(before, after, now):
        nudge(sid)
    return now, after


def ended_warning(before: Record, after: Record, now: float) -> bool:
    """Say whether a touch took the session from its warning phase back to its active phase."""
    return (
        evaluate(before, now).phase is Phase.WARNING and evaluate(after, now).phase is Phase.ACTIVE
    )


class Admission(NamedTuple):
    """Whether a session may be served: its record and the store's now; ``ended`` says why not."""

    record: Record | None
    now: float
    ended: EndReason | None


def admit(sid: str, *, counts: bool, extend: bool = False, page: bool = False) -> Admission:
    """Say whether a session may be served now; end it if it is due. ``counts`` notes activity as well.

    Raises StoreUnavailable as well where this transaction does not see what others did to the session since
    it began, as where reads are repeatable: another transaction will.
    """
    for _ in range(MOST_LOOKS):
        now, record = touch(sid, extend=extend, page=page) if counts else look(sid)
        if record is None:
            return Admission(None, now, EndReason.UNKNOWN)
        status = evaluate(record, now)
        if status.phase is not Phase.ENDED:
            return Admission(record, now, None)
        if record.ended_at is not None or end_due([sid]):
            return Admission(record, now, status.reason)
        # Somebody else ended it or was active just now: look again.
        counts = False
    raise StoreUnavailable("this transaction sees an old record")


def why_gone(session_key: str) -> EndReason | None:
    """Say why a cookie's Django session is gone, None if not because we ended it."""
    record = get_store().find_ended(session_key)
    return None if record is None else record.end_reason


def end(sid: str, reason: EndReason) -> Record | None:
    """End a session and deal with what follows; return its record if it was this call that ended it.

    In a transaction the end is one of its writes: what follows waits for the commit, and if there is none,
    nothing has ended.
    """
    record = get_store().end(sid, reason)
    if record is None and was_missing(sid):
        record = get_store().end(sid, reason)
    if record is not None:
        _settle_on_commit([record])
    return record


def end_due(sids: Iterable[str]) -> list[Record]:
    """End those that are past their deadline, as ``end`` does; return those that this call ended."""
    ended = get_store().end_due(sids)
    _settle_on_commit(ended)
    return ended


def _settle_on_commit(ended: list[Record]) -> None:
    if ended:
        get_store().on_commit(lambda: settle(ended))


def note_save(record: Record, now: float, session: SessionBase) -> bool:
    """Note what is new in a Django session that is about to be saved: its key, its age, its own expiry.

    Says whether there was anything.
    """
    key, credentials = engine.revocable_key(session), engine.credentials_of(session)
    expiry = engine.expiry_of(session)
    has_other_expiry = _differs(expiry, record, now)
    has_other_key = (key, credentials) != (record.session_key, record.credentials)
    is_old = abs(now - record.saved_at) > record.cookie_age / 4
    if is_old or has_other_key or has_other_expiry:
        bind(record.sid, session)
    if has_other_expiry:
        get_store().set_expiry(record.sid, *expiry)
        nudge(record.sid)
    return is_old or has_other_key or has_other_expiry


def bind(sid: str, session: SessionBase) -> None:
    """Note the key and the age of a Django session."""
    key, credentials = engine.revocable_key(session), engine.credentials_of(session)
    get_store().bind(sid, key, engine.lifetime_of(session), credentials)


def _differs(expiry: engine.Expiry, record: Record, now: float) -> bool:
    if expiry.fixed_end_in is None or record.fixed_end_at is None:
        return (expiry.idle_cap, expiry.fixed_end_in) != (record.idle_cap, record.fixed_end_at)
    # How far away an end is has been told by two clocks, one after the other.
    return abs(now + expiry.fixed_end_in - record.fixed_end_at) > 2


def nudge(sid: str) -> None:
    """Have every process look at the session again, once what was just stored can be seen there."""
    get_store().on_commit(lambda: bus.nudge([sid]))


def sweep(keep_for: float) -> int:
    """End what is overdue, settle what was left half done, drop tombstones over ``keep_for`` seconds old.

    Any process may do this at any time. Returns how many sessions it ended.
    """
    store = get_store()
    # Of this process's own ends; else another's sweep would signal some of them again.
    catch_up()
    store.close_lapsed()
    ended = 0
    while due := store.overdue(SWEEP_BATCH):
        ended += len(end_due(due))
    while claimed := store.claim_unfinished(SETTLE_AFTER, SWEEP_BATCH):
        settle(claimed)
    store.purge(keep_for)
    return ended


def sid_of(request_or_sid: HttpRequest | str) -> str | None:
    """Return the sid of a request, None where its session is not monitored; a sid is returned as it is."""
    if isinstance(request_or_sid, str):
        return request_or_sid
    sid = request_or_sid.session.get(engine.SID_KEY)
    return sid if isinstance(sid, str) else None


def end_session(
    request_or_sid: HttpRequest | str, reason: EndReason | str = EndReason.REVOKED
) -> bool:
    """End one session, in every tab; say whether it was this call that ended it.

    Raises ValueError for a reason that is no ``EndReason``.
    """
    sid = sid_of(request_or_sid)
    return sid is not None and end(sid, EndReason(reason)) is not None


def end_user_sessions(
    user: Model | str | int,
    reason: EndReason | str = EndReason.REVOKED,
    keep: HttpRequest | str | None = None,
) -> int:
    """End all sessions of a user (or primary key) but that of ``keep``; return how many it ended.

    Raises StoreUnavailable, too, while there may be others that the store has lost just now.
    """
    kept = None if keep is None else sid_of(keep)
    sids = [record.sid for record in sessions_for(user) if record.sid != kept]
    ended = sum(end(sid, EndReason(reason)) is not None for sid in sids)
    expect_all()
    return ended


def extend_session(request_or_sid: HttpRequest | str) -> Status | None:
    """Move the idle deadline, as if the user chose to stay; return the status, None if too late."""
    sid = sid_of(request_or_sid)
    if sid is None:
        return None
    now, record = touch(sid, extend=True)
    status = None if record is None else evaluate(record, now)
    return None if status is None or status.phase is Phase.ENDED else status


def apply_policy(request_or_sid: HttpRequest | str, policy: Policy) -> bool:
    """Give a running session another policy, at once and in every tab; say whether there was one.

    Otherwise a changed policy counts from the next login.
    """
    sid = sid_of(request_or_sid)
    if sid is None:
        return False
    store = get_store()
    is_set = store.set_policy(sid, policy) or (was_missing(sid) and store.set_policy(sid, policy))
    if is_set:
        nudge(sid)
    return is_set


def sessions_for(user: Model | str | int) -> Sequence[Record]:
    """Return the records of a user's (or primary key's) live sessions, latest login first."""
    user_id = str(user.pk if isinstance(user, Model) else user)
    now, records = get_store().for_user(user_id)
    return [record for record in records if evaluate(record, now).phase is not Phase.ENDED]


def all_sessions() -> Iterator[Record]:
    """Yield the records of all live sessions, by sid."""
    store = get_store()
    after = ""
    while page := store.all(after):
        after = page[-1].sid
        now, _ = store.get([])
        yield from (r for r in page if evaluate(r, now).phase is not Phase.ENDED)


aend_session = sync_to_async(end_session)
aend_user_sessions = sync_to_async(end_user_sessions)
aextend_session = sync_to_async(extend_session)
aapply_policy = sync_to_async(apply_policy)
asessions_for = sync_to_async(sessions_for)
