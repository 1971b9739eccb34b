"""That tabs are here: told to the store, for sessions that end when their last tab goes.

A process holds its tabs under a lease, so that those of one that died stop counting. A server that stops
leaves its tabs to the lease, too: they are about to come back.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable

from .batcher import Batcher
from .scheduler import Scheduler
from .stores import StoreUnavailable, get_store
from .tasks import Service

LEASE = 30.0
RENEW = 10.0
CLOCK_GRAIN = 0.01


class Presence:
    """Tells the store who came and went, and has ``end_if_due`` look at a session when its grace is over.

    ``over`` is called when no grace is left to wait for.
    """

    def __init__(
        self,
        present: Callable[[], Iterable[str]],
        end_if_due: Callable[[str], None],
        over: Callable[[], None],
    ) -> None:
        self._present = present
        self._end_if_due = end_if_due
        self._over = over
        self._loop = asyncio.get_running_loop()
        self._store = get_store()
        self._process = secrets.token_hex(8)
        self._joined: set[str] = set()
        self._graces = Scheduler(self._loop, self._close)
        self._news = Batcher("presence", self._tell)
        self._renewer = Service("lease", self._renew)

    @property
    def is_waiting(self) -> bool:
        """Whether a session whose last tab went from here may still have to be ended."""
        return len(self._graces) > 0

    def start(self) -> None:
        """Begin to tell."""
        self._news.start()
        self._renewer.start()

    async def stop(self) -> None:
        """Tell what is still to be told, and end."""
        self._graces.clear()
        await self._renewer.stop()
        await self._news.stop()

    def came(self, sid: str) -> None:
        """A tab of the session connected here."""
        self._graces.discard(sid)
        self._joined.add(sid)
        self._news.add(sid, True)

    def went(self, sid: str, grace: float) -> None:
        """The session's last tab here went, and not because the server stops."""
        self._news.add(sid, False)
        self._graces.set(sid, self._loop.time() + grace + CLOCK_GRAIN)

    async def _tell(self, batch: dict[str, bool]) -> dict[str, None]:
        for sid, is_present in batch.items():
            if sid in self._joined:
                await self._store.ajoin(sid, self._process, LEASE)
                self._joined.discard(sid)
            if not is_present:
                await self._store.aleave(sid, self._process)
        return {}

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW)
            try:
                await self._store.arenew(self._present(), self._process, LEASE)
            except StoreUnavailable:
                continue

    def _close(self, sids: list[str]) -> None:
        for sid in sids:
            self._end_if_due(sid)
        if not self._graces:
            self._over()
