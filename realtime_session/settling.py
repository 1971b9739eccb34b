"""What follows an end: tabs hear of it, the Django session goes, receivers of the signal hear."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from . import bus, engine
from .logs import get_logger, short
from .policy import Record
from .signals import session_ended
from .stores import get_store

logger = get_logger(__name__)

_lock = threading.Lock()
_under_way: set[str] = set()
_signalled: set[str] = set()
"""Sids whose end was fully dealt with here, but the store did not take note."""


def settle(records: Sequence[Record]) -> None:
    """Do what follows the ends of these sessions; safe to repeat. What fails, a sweep does again.

    People hear first: by the store they are logged out already, and neither a slow session backend nor a
    slow receiver of the signal shall delay them.
    """
    if records:
        bus.nudge([record.sid for record in records])
        clean_up(records)


def clean_up(records: Sequence[Record], is_repeated: bool = False) -> None:
    """Do what is left when people have heard, but for what this process is at already. Blocks.

    Of an end that ``is_repeated``, because the store had lost it, the signal has been sent.
    Raises StoreUnavailable where the store cannot be told that it is done; the next call tells it.
    """
    with _alone_at(records) as ours:
        new = [record for record in ours if record.sid not in _signalled]
        failed = engine.delete(record.session_key for record in new)
        for record in new:
            error = failed.get(record.session_key)
            if error is None:
                if not is_repeated:
                    _signal(record)
                _signalled.add(record.sid)
            else:
                # Without what the engine said: that may name the session's key.
                kind = type(error).__name__
                logger.warning(
                    "The Django session of %s… was not deleted, which will be tried again: %s",
                    short(record.sid),
                    kind,
                    extra={
                        "event": "django_session_not_deleted",
                        "sid": short(record.sid),
                        "error": kind,
                    },
                )
        _finish()


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
