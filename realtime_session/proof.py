"""That a store which has lost something does not go unnoticed while nothing is asked of it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from .stores import BaseStore, StoreUnavailable
from .tasks import Service

PROVE = 1.0
"""Seconds within which the store has to prove that it still knows the sessions here."""


class Proof:
    """Asks the store for it every second: whether it has lost something, of which ``answered`` hears.

    And where it was not ``heard_at`` (the loop's time) of late, ``look`` is to look at some session: a store
    may have lost records without knowing, and its clock may have been set.
    """

    def __init__(
        self,
        store: BaseStore,
        heard_at: Callable[[], float],
        answered: Callable[[], None],
        look: Callable[[], None],
    ) -> None:
        self._store = store
        self._heard_at = heard_at
        self._answered = answered
        self._look = look
        self._service = Service("proof", self._prove)
        self.start = self._service.start
        self.stop = self._service.stop

    async def _prove(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PROVE)
            # That it does not answer, the calls say that somebody wants.
            with suppress(StoreUnavailable):
                await self._store.alost_lately()
                self._answered()
            if loop.time() - self._heard_at() >= PROVE:
                self._look()
