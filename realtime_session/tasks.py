"""Background tasks that do not die in silence."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from .logs import get_logger

logger = get_logger(__name__)

RESTART_IN = 1.0
RESTART_AT_MOST = 30.0
"""Seconds before the first and the latest restart of a task that fails each time, doubled in between."""

CLEANUP = 5.0
"""Seconds that work which was cancelled has to end before it is cancelled once more."""


async def end(tasks: Collection[asyncio.Task[Any]], cleanup: float) -> None:
    """Cancel tasks, and wait for their end; once more every ``cleanup`` seconds. Ignores what they raise.

    An ``asyncio.timeout(0)``, as redis-py has it, swallows a cancellation that comes in the same moment.
    """
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=cleanup)
    for task in tasks:
        if not task.cancelled():
            task.exception()


class Trouble:
    """Logs what fails again and again: its first failure in full, others once a kind, and its end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._kinds: set[type[BaseException]] = set()

    def begins(self, error: BaseException) -> None:
        """Note a failure: the first, or one of many."""
        is_first, is_known = not self._kinds, type(error) in self._kinds
        self._kinds.add(type(error))
        kind = type(error).__name__
        if is_known:
            logger.debug(
                "%s failed and is tried again: %s",
                self._name,
                kind,
                exc_info=error,
                extra={"event": "still_failing", "task": self._name, "error": kind},
            )
        else:
            logger.error(
                "%s failed and is tried again: %s",
                self._name,
                kind,
                exc_info=error if is_first else None,
                extra={"event": "failing", "task": self._name, "error": kind},
            )

    def ends(self) -> None:
        """Note that it works."""
        if self._kinds:
            self._kinds.clear()
            logger.warning(
                "%s works again.", self._name, extra={"event": "working", "task": self._name}
            )


class Service:
    """A named task that runs ``work`` until it returns or is stopped; if it fails, it is restarted.

    The restarts come later and later, with jitter, unless the work ran well for a while in between.
    """

    def __init__(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._name = f"realtime-session-{name}"
        self._work = work
        self._task: asyncio.Task[None] | None = None
        self._trouble = Trouble(self._name)

    def start(self) -> None:
        """Start the task on the running loop."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self, patience: float = 0.0) -> None:
        """Wait up to ``patience`` seconds for ``work`` to return, then cancel it and wait for its end."""
        if self._task is None:
            return
        if patience:
            await asyncio.wait({self._task}, timeout=patience)
        await end([self._task], CLEANUP)
        self._task = None

    def works(self) -> None:
        """Note, within ``work``, that what may have failed before is well again."""
        self._trouble.ends()

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        delay = RESTART_IN
        while True:
            began = clock()
            try:
                return await self._work()
            except Exception as error:
                if clock() - began > RESTART_AT_MOST:
                    self._trouble.ends()
                    delay = RESTART_IN
                self._trouble.begins(error)
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311
            delay = min(RESTART_AT_MOST, delay * 2)
