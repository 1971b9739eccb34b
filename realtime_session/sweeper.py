"""The slow sweep that any process with a tab runs: it ends sessions that have no tab anywhere."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from django.conf import settings

from . import conf, monitor
from .stores import StoreUnavailable, get_store
from .tasks import Service

AFTER_LOSS = 5.0
"""Seconds that a sweep waits once the store may have lost something.

Those who know of an end that it has lost tell it again meanwhile: else the sweep would end that session
once more, with its signal.
"""


class Sweeper:
    """Sweeps every ``SWEEP_INTERVAL`` seconds or so; processes spread out by chance."""

    def __init__(self, run_blocking: Callable[..., Awaitable[int]]) -> None:
        self._run_blocking = run_blocking
        self._store = get_store()
        self._epoch: int | None = None
        self._service = Service("sweep", self._work)

    def start(self) -> None:
        """Begin to sweep."""
        self._service.start()

    async def stop(self) -> None:
        """End, in the middle of a sweep if need be."""
        await self._service.stop()

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(conf.current().sweep_interval * random.uniform(0.5, 1.5))  # noqa: S311
            try:
                if await self._may_have_lost():
                    await asyncio.sleep(AFTER_LOSS)
                await self._run_blocking(monitor.sweep, float(settings.SESSION_COOKIE_AGE))
            except StoreUnavailable:
                continue

    async def _may_have_lost(self) -> bool:
        # Only an answer shows what epoch it is.
        await self._store.aget([])
        epoch, self._epoch = self._epoch, self._store.epoch
        return epoch not in (None, self._epoch)
