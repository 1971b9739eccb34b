"""What is written down when a session starts or ends, in the log and in the metrics."""

from typing import Any

from . import metrics
from .logs import get_logger, short
from .policy import EndReason
from .signals import session_ended, session_started

logger = get_logger(__name__)


def _note_start(sender: Any, *, sid: str, user_id: str, **kwargs: Any) -> None:
    metrics.started.inc()
    logger.info(
        "Session %s… started.",
        short(sid),
        extra={"event": "session_started", "sid": short(sid), "user_id": user_id},
    )


def _note_end(sender: Any, *, sid: str, user_id: str, reason: EndReason, **kwargs: Any) -> None:
    metrics.ended[reason].inc()
    logger.info(
        "Session %s… ended: %s.",
        short(sid),
        reason.value,
        extra={
            "event": "session_ended",
            "sid": short(sid),
            "user_id": user_id,
            "reason": reason.value,
        },
    )


session_started.connect(_note_start, dispatch_uid="realtime_session.note_start")
session_ended.connect(_note_end, dispatch_uid="realtime_session.note_end")
