"""Where the truth about sessions is kept: the store in force, and the contract of all stores."""

import threading

from django.utils.module_loading import import_string

from .. import conf
from ..forks import in_each_fork
from ..values import StoreSetting
from .base import BaseStore, StoreUnavailable

__all__ = ["BaseStore", "StoreUnavailable", "get_store"]

_lock = threading.Lock()
_made: tuple[StoreSetting, BaseStore] | None = None


@in_each_fork
def _begin_anew() -> None:
    # A store has locks, threads and connections.
    global _lock, _made
    _lock, _made = threading.Lock(), None


def get_store() -> BaseStore:
    """Return this process's store, as ``REALTIME_SESSION["STORE"]`` says. Thread-safe."""
    global _made
    setting = conf.current().store
    made = _made
    if made is None or made[0] != setting:
        with _lock:
            made = _made
            if made is None or made[0] != setting:
                made = setting, import_string(setting.backend)(**setting.options)
                _made = made
    return made[1]
