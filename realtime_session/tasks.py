"""Background tasks that do not die in silence."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

RESTART_IN = 1.0


class Service:
    """A named task that runs ``work`` until it returns or is stopped; if it fails, it is restarted."""

    def __init__(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._name = f"realtime-session-{name}"
        self._work = work
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the task on the running loop."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self, patience: float = 0.0) -> None:
        """Wait up to ``patience`` seconds for ``work`` to return, then cancel it and wait for its end."""
        if self._task is None:
            return
        if patience:
            await asyncio.wait({self._task}, timeout=patience)
        self._task.cancel()
        await asyncio.wait({self._task})
        self._task = None

    async def _run(self) -> None:
        while True:
            try:
                return await self._work()
            except Exception:
                logger.exception("%s failed and is restarted.", self._name)
                await asyncio.sleep(RESTART_IN)
