"""How long the stores' operations take, measured where each is called first: its sync or its async form."""

from collections.abc import Awaitable, Callable
from functools import lru_cache, wraps
from types import MethodType
from typing import Any

from .. import metrics


def measure(store: type, operations: set[str]) -> None:
    """Have a store class measure what it defines of the operations, and what it runs for event loops."""
    if not metrics.IS_INSTALLED:
        return
    defined = vars(store)
    for name in operations & defined.keys():
        setattr(store, name, _measured(name, defined[name]))
    if "_run" in defined:
        store._run = _measured_run(defined["_run"])  # type: ignore[attr-defined]


def _measured(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
    call = _call(name)

    @wraps(operation)
    def measured(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        with call.measured():
            return operation(self, *args, **kwargs)

    measured.unmeasured = operation  # type: ignore[attr-defined]
    return measured


def _measured_run(run: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(run)
    async def measured(self: Any, operation: Callable[..., Any], *args: Any) -> Any:
        # Not measured twice: its sync form may be what is run, on a thread.
        unmeasured = getattr(operation, "unmeasured", None)
        with _call(operation.__name__).measured():
            return await run(self, MethodType(unmeasured, self) if unmeasured else operation, *args)

    return measured


@lru_cache(maxsize=64)
def _call(name: str) -> metrics.StoreCall:
    return metrics.StoreCall(name)
