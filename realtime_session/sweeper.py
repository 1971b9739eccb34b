"""The slow sweep that any process with a tab runs: it ends sessions that have no tab anywhere."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from django.conf import settings

from . import conf, monitor
from .stores import StoreUnavailable
from .tasks import Service


class Sweeper:
    """Sweeps every ``SWEEP_INTERVAL`` seconds or so; processes spread out by chance."""

    def __init__(self, run_blocking: Callable[..., Awaitable[int]]) -> None:
        self._run_blocking = run_blocking
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
                await self._run_blocking(monitor.sweep, float(settings.SESSION_COOKIE_AGE))
            except StoreUnavailable:
                continue
