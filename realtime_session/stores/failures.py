"""What a database raises, as the store contract has it."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from django.db import Error, connections

from .base import StoreUnavailable


class OnDatabase(Protocol):
    """A store with a database."""

    @property
    def alias(self) -> str:
        """The database's alias."""


Store = TypeVar("Store", bound=OnDatabase)
P = ParamSpec("P")
T = TypeVar("T")

_LOCK_TIMEOUT = 5.0


def operation(
    method: Callable[Concatenate[Store, P], T],
) -> Callable[Concatenate[Store, P], T]:
    """Turn what the database raises into StoreUnavailable, and leave a fresh connection behind."""

    @wraps(method)
    def attempt(self: Store, /, *args: P.args, **kwargs: P.kwargs) -> T:
        give_up_at = time.monotonic() + _LOCK_TIMEOUT
        while True:
            try:
                return method(self, *args, **kwargs)
            except Error as error:
                connection = connections[self.alias]
                if _is_table_lock(error) and not connection.in_atomic_block:
                    if time.monotonic() < give_up_at:
                        time.sleep(0.005)
                        continue
                elif not connection.in_atomic_block:
                    connection.close()
                raise StoreUnavailable(f"the database failed: {type(error).__name__}") from error

    return attempt


def _is_table_lock(error: Error) -> bool:
    # SQLite's shared cache (in-memory databases of tests) answers so at once, whatever its busy timeout.
    return "table is locked" in str(error)
