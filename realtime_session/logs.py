"""Loggers whose warnings and errors are counted. Each record has an ``event``, a word that is not translated.

What identifies a session in a log is the beginning of its sid: see ``short``. Session keys, and what users
send, are in no record.
"""

import logging

from . import metrics


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module of this package."""
    logger = logging.getLogger(name)
    logger.addFilter(_count)
    return logger


def short(sid: str) -> str:
    """Return as much of a sid as a log may hold."""
    return sid[:8]


def _count(record: logging.LogRecord) -> bool:
    if record.levelno >= logging.WARNING:
        metrics.logged(record.levelname.lower(), getattr(record, "event", "other"))
    return True
