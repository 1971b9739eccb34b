"""Many small requests to the store in one call, one call at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from .logs import get_logger
from .stores import StoreUnavailable
from .tasks import Service

logger = get_logger(__name__)

V = TypeVar("V")
R = TypeVar("R")

MAX_BATCH = 500
FIRST_RETRY = 0.25
LAST_RETRY = 2.0
STOP_TIMEOUT = 5.0


class Batcher(Generic[V, R]):
    """Collects values by key and hands them to ``run`` together, at most ``MAX_BATCH`` at a time.

    ``run`` returns a result for each key; whoever asked for the key gets it. While a call is under way,
    what comes in waits for the next one; a value replaces an earlier one of its key, so the queue is bounded
    by the number of keys. When the store does not answer, those who asked get StoreUnavailable and
    ``unavailable`` is told the keys. With ``keep`` the values are kept and tried again, later and later.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[dict[str, V]], Awaitable[dict[str, R]]],
        *,
        delay: float = 0.0,
        keep: bool = True,
        unavailable: Callable[[list[str]], None] = lambda keys: None,
    ) -> None:
        self._name = name
        self._run = run
        self._delay = delay
        self._keep = keep
        self._unavailable = unavailable
        self._values: dict[str, V] = {}
        self._waiters: dict[str, asyncio.Future[R | None]] = {}
        self._wanted = asyncio.Event()
        self._urgent = asyncio.Event()
        self._retry_in = 0.0
        self._stopping = False
        self._service = Service(name, self._work)

    def start(self) -> None:
        """Start the task that makes the calls."""
        self._service.start()

    async def stop(self) -> None:
        """Finish what is under way, make the call for what is still here, and end the task."""
        self._stopping = True
        self._wanted.set()
        self._urgent.set()
        await self._service.stop(patience=STOP_TIMEOUT)

    def add(self, key: str, value: V, *, urgent: bool = False) -> None:
        """Want ``key`` in the next call: within ``delay`` seconds, at once if ``urgent``."""
        self._values[key] = value
        self._wanted.set()
        if urgent:
            self._urgent.set()

    async def ask(self, key: str, value: V) -> R | None:
        """Want ``key`` at once and return its result, None if there is none. Raises StoreUnavailable."""
        waiter = self._waiters.get(key)
        if waiter is None:
            waiter = self._waiters[key] = asyncio.get_running_loop().create_future()
        self.add(key, value, urgent=True)
        return await asyncio.shield(waiter)

    async def _work(self) -> None:
        while True:
            await self._wanted.wait()
            await self._pause()
            if self._values:
                await self._step()
            if self._stopping and (not self._values or self._retry_in):
                return

    async def _pause(self) -> None:
        if self._retry_in:
            await asyncio.sleep(self._retry_in)
        elif self._delay and not self._urgent.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._delay):
                    await self._urgent.wait()

    async def _step(self) -> None:
        batch = self._take()
        waiters = {key: w for key in batch if (w := self._waiters.pop(key, None)) is not None}
        try:
            results = await self._run(batch)
        except StoreUnavailable as error:
            self._after_failure(batch)
            _fail(waiters, error)
        except Exception as error:
            logger.exception(
                "%s failed for %d sessions.",
                self._name,
                len(batch),
                extra={"event": "batch_failed", "batch": self._name, "count": len(batch)},
            )
            self._after_failure(batch)
            _fail(waiters, StoreUnavailable(type(error).__name__))
        else:
            self._retry_in = 0.0
            for key, waiter in waiters.items():
                if not waiter.done():
                    waiter.set_result(results.get(key))
        finally:
            for waiter in waiters.values():
                waiter.cancel()

    def _take(self) -> dict[str, V]:
        if len(self._values) <= MAX_BATCH:
            batch, self._values = self._values, {}
            self._wanted.clear()
            self._urgent.clear()
            return batch
        return {key: self._values.pop(key) for key in list(self._values)[:MAX_BATCH]}

    def _after_failure(self, batch: dict[str, V]) -> None:
        self._unavailable(list(batch))
        if self._keep:
            self._values = batch | self._values
            self._wanted.set()
            self._retry_in = min(LAST_RETRY, self._retry_in * 2 or FIRST_RETRY)


def _fail(waiters: "dict[str, asyncio.Future[Any]]", error: Exception) -> None:
    for waiter in waiters.values():
        if not waiter.done():
            waiter.set_exception(error)
            # Nobody may be waiting any more: a tab can go while the store is asked.
            waiter.exception()
