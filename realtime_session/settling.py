"""What follows an end: the Django session goes, tabs and receivers of the signal hear of it."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from . import bus, engine
from .policy import Record
from .signals import session_ended
from .stores import get_store

logger = logging.getLogger(__name__)

_lock = threading.Lock()
_under_way: set[str] = set()


def settle(records: Sequence[Record]) -> None:
    """Do what follows the ends of these sessions, but for those that another thread is at already.

    Safe to repeat. If it fails half-way, a sweep does it again. People hear of the end before
    receivers of the signal do, so that a slow receiver cannot delay them.
    """
    with _alone_at(records) as ours:
        for record in ours:
            _settle(record)


def _settle(record: Record) -> None:
    try:
        engine.delete(record.session_key)
    except Exception:
        logger.exception("The Django session of %s… was not deleted; will retry.", record.sid[:8])
        bus.nudge([record.sid])
        return
    bus.nudge([record.sid])
    session_ended.send_robust(
        Record,
        sid=record.sid,
        user_id=record.user_id,
        reason=record.end_reason,
        at=record.ended_at,
    )
    get_store().finish([record.sid])


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
