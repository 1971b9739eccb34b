"""What follows an end: the Django session goes, tabs hear of it, receivers of the signal hear."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from . import bus, engine
from .forks import in_each_fork
from .logs import get_logger, short
from .policy import Record
from .signals import session_ended
from .stores import get_store

DELETION_TIMEOUT = 0.25
"""Seconds for which a slow session backend may keep people from hearing of an end."""
DELETE_TOGETHER = 100

logger = get_logger(__name__)

_lock = threading.Lock()
_under_way: set[str] = set()
_signalled: set[str] = set()
"""Sids whose end was fully dealt with here, but the store did not take note."""
_undeleted: dict[str, tuple[float, Record]] = {}
"""Ended here, but their Django sessions could not be deleted, at that monotonic time."""
RETRY_FOR = 120.0
"""Seconds for which this process tries again by itself: well before another one takes the ends over."""


@in_each_fork
def _begin_anew() -> None:
    # What its parent is at is its parent's.
    global _lock
    _lock = threading.Lock()
    for what in (_under_way, _signalled, _undeleted):
        what.clear()


def settle(records: Sequence[Record], is_repeated: bool = False) -> None:
    """Do what follows the ends of these sessions; safe to repeat. What fails, a sweep does again. Blocks.

    Django's sessions go first, but for what would take long. People hear before receivers of the signal do,
    since a slow one shall not delay them. Of an end that ``is_repeated``, because the store had lost it, the
    signal has been sent.
    Raises StoreUnavailable where the store cannot be told that it is done; the next call tells it.
    """
    if not records:
        return
    failed: dict[str, Exception] = {}
    tell_at = time.monotonic() + DELETION_TIMEOUT
    deleted = 0
    while deleted < len(records) and (not deleted or time.monotonic() < tell_at):
        failed |= delete_sessions(records[deleted : deleted + DELETE_TOGETHER])
        deleted += DELETE_TOGETHER
    bus.nudge([record.sid for record in records])
    failed |= delete_sessions(records[deleted:])
    clean_up(records, failed, is_repeated)


def delete_sessions(records: Sequence[Record]) -> dict[str, Exception]:
    """Delete the Django sessions of ended ones; return what went wrong, by session key. Blocks."""
    return engine.delete(record.session_key for record in records)


def clean_up(
    records: Sequence[Record], failed: Mapping[str, Exception], is_repeated: bool = False
) -> None:
    """Do what is left of ``settle`` when people have heard, but for what this process is at already."""
    with _alone_at(records) as ours:
        for record in ours:
            error = failed.get(record.session_key)
            if error is not None:
                _log_failure(record, error)
                if not is_repeated:
                    _undeleted.setdefault(record.sid, (time.monotonic(), record))
                continue
            _undeleted.pop(record.sid, None)
            if record.sid not in _signalled:
                if not is_repeated:
                    _signal(record)
                _signalled.add(record.sid)
        _finish()


def catch_up() -> None:
    """Try again what failed in this process, and tell the store what it did not note. Blocks."""
    for sid, (at, _) in _undeleted.copy().items():
        if at < time.monotonic() - RETRY_FOR:
            _undeleted.pop(sid, None)
    again = [record for _, record in _undeleted.copy().values()]
    clean_up(again, delete_sessions(again))


def _log_failure(record: Record, error: Exception) -> None:
    # Without what the engine said: that may name the session's key.
    kind = type(error).__name__
    logger.warning(
        "The Django session of %s… was not deleted, which will be tried again: %s",
        short(record.sid),
        kind,
        extra={"event": "django_session_not_deleted", "sid": short(record.sid), "error": kind},
    )


def _signal(record: Record) -> None:
    session_ended.send_robust(
        Record,
        sid=record.sid,
        user_id=record.user_id,
        reason=record.end_reason,
        at=record.ended_at,
    )


def _finish() -> None:
    # A copy: other threads add to it meanwhile.
    done = _signalled.copy()
    if done:
        get_store().finish(done)
        _signalled.difference_update(done)


@contextmanager
def _alone_at(records: Sequence[Record]) -> Iterator[list[Record]]:
    """A receiver of the signal may take so long that this process's own sweep finds its end unfinished."""
    with _lock:
        ours = [record for record in records if record.sid not in _under_way]
        sids = {record.sid for record in ours}
        _under_way.update(sids)
    try:
        yield ours
    finally:
        with _lock:
            _under_way.difference_update(sids)
