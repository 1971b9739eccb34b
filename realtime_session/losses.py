"""What to make of a record that is missing: the session is over, or the store has lost it just now."""

from collections.abc import Callable

from .forks import in_each_fork
from .policy import Record
from .stores import StoreUnavailable, get_store

_knowing: list[Callable[[str], Record | None]] = []
in_each_fork(_knowing.clear)


class RecordsLostError(StoreUnavailable):
    """The store has lost records just now, which other processes may be about to tell it again."""

    def __init__(self) -> None:
        super().__init__("The store has lost records just now")


def know_by(known: Callable[[str], Record | None]) -> None:
    """Let ``known`` say what is known here of sessions that the store has lost, on any thread."""
    _knowing.append(known)


def forget_by(known: Callable[[str], Record | None]) -> None:
    """Take back ``know_by``."""
    _knowing.remove(known)


def told_again(sid: str) -> Record | None:
    """Return a record that was missing, once the store was told it again; None if the session is over.

    This process tells it if the session has tabs here. Others may be about to: then RecordsLostError is
    raised, so that nobody is let in, and nobody ended.
    """
    store = get_store()
    if known := next((record for knows in tuple(_knowing) if (record := knows(sid))), None):
        # Another process may know more, and have told it just now.
        opened = store.open(known, only_missing=True) or store.get([sid])[1].get(sid)
        if opened is not None:
            return opened
    expect_all()
    return None


def expect_all() -> None:
    """Raise RecordsLostError where records may be missing of sessions that are not over."""
    if get_store().lost_lately():
        raise RecordsLostError


def was_missing(sid: str) -> bool:
    """Say, of a session that could not be changed, whether its record was missing and is there now."""
    store = get_store()
    return store.lost_lately() and sid not in store.get([sid])[1] and bool(told_again(sid))
