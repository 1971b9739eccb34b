"""That tabs are here: told to the store, for sessions that end when their last tab goes.

A process holds its tabs under a lease, so that those of one that died stop counting. A server that stops
leaves its tabs to the lease, too: they are about to come back.
"""

import asyncio
import secrets
from collections.abc import Callable

from .batcher import Batcher
from .scheduler import Scheduler
from .stores import StoreUnavailable, get_store
from .tasks import Service

LEASE = 30.0
RENEW = 10.0
CLOCK_GRAIN = 0.01


class Presence:
    """Tells the store who came and went, and has ``end_if_due`` look at a session when its grace is over.

    ``present`` are the sessions with a grace that have tabs here; ``look_at`` looks at them. ``over`` is
    called when there is no grace left to wait for.
    """

    def __init__(
        self,
        present: Callable[[], list[str]],
        look_at: Callable[[list[str]], None],
        end_if_due: Callable[[str], None],
        over: Callable[[], None],
    ) -> None:
        self._present = present
        self._look_at = look_at
        self._end_if_due = end_if_due
        self._over = over
        self._loop = asyncio.get_running_loop()
        self._store = get_store()
        self._process = secrets.token_hex(8)
        self._joined: set[str] = set()
        self._leaving: dict[str, float] = {}
        self._graces = Scheduler(self._loop, self._close)
        self._news = Batcher("presence", self._tell)
        self._renewer = Service("lease", self._renew)

    @property
    def is_waiting(self) -> bool:
        """Whether a session whose last tab went from here may still have to be ended."""
        return bool(self._leaving) or len(self._graces) > 0

    def start(self) -> None:
        """Begin to tell."""
        self._news.start()
        self._renewer.start()

    async def stop(self) -> None:
        """Tell what is still to be told, and end."""
        self._leaving.clear()
        self._graces.clear()
        await self._renewer.stop()
        await self._news.stop()

    def came(self, sid: str) -> None:
        """A tab of the session connected here."""
        self._graces.discard(sid)
        self._leaving.pop(sid, None)
        self._joined.add(sid)
        self._news.add(sid, True)

    def went(self, sid: str, grace: float) -> None:
        """The session's last tab here went, and not because the server stops."""
        self._leaving[sid] = grace
        self._news.add(sid, False)

    async def _tell(self, batch: dict[str, bool]) -> dict[str, None]:
        for sid, is_present in batch.items():
            if sid in self._joined:
                await self._store.ajoin(sid, self._process, LEASE)
                self._joined.discard(sid)
            if not is_present:
                await self._store.aleave(sid, self._process)
                self._await_end(sid)
        return {}

    def _await_end(self, sid: str) -> None:
        # From now, not from when the tab went: the store counts from here.
        grace = self._leaving.pop(sid, None)
        if grace is not None:
            self._graces.set(sid, self._loop.time() + grace + CLOCK_GRAIN)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW)
            present = self._present()
            try:
                await self._store.arenew(present, self._process, LEASE)
            except StoreUnavailable:
                continue
            # A lease that ran out before is not renewed: then the record says that it closes.
            self._look_at(present)

    def _close(self, sids: list[str]) -> None:
        for sid in sids:
            self._end_if_due(sid)
        if not self.is_waiting:
            self._over()
