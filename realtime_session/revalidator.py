"""Whether the people behind this process's tabs may still be logged in, as Django sees it.

A Django session can be deleted by others (the admin, ``clearsessions``, another package), and a user
deleted, deactivated or given another password elsewhere. Nothing tells the tabs then, so we look.
"""

import asyncio
from collections.abc import Callable, Iterable

from . import conf
from .findings import Found
from .identity import Identities
from .logs import get_logger
from .policy import EndReason, Record
from .store_calls import StoreCalls
from .stores import StoreUnavailable
from .tasks import Service

logger = get_logger(__name__)

CYCLE_TIME = 0.5
"""Seconds for a request that changes the session's key to say so: the old key is gone a little earlier."""


EARLY = 1.5
"""Seconds by which an engine's session may be gone before its fixed end: Django cuts off the fraction."""


class Revalidator:
    """Ends sessions (``revoked``) that Django would not accept any more.

    All sessions that have tabs here are asked for together, twice in ``REVALIDATE_INTERVAL``. What is missing
    twice running is gone; once only, a request may just be changing the session's key.
    """

    def __init__(
        self,
        identities: Identities,
        store: StoreCalls,
        records: Callable[[], Iterable[Record]],
    ) -> None:
        self._identities = identities
        self._store = store
        self._records = records
        self._missing: set[tuple[str, str]] = set()
        self._service = Service("revalidate", self._work)

    def start(self) -> None:
        """Begin to look."""
        self._service.start()

    async def stop(self) -> None:
        """End."""
        await self._service.stop()

    async def allows(self, sid: str) -> bool:
        """Say whether a session may be extended; end it if Django would not accept it any more."""
        for wait in (CYCLE_TIME, 0.0):
            found = await self._store.find(sid)
            if found is None or not found.is_live:
                return False
            if not await self._rejected([found]):
                return True
            await asyncio.sleep(wait)
        await self._store.end(sid, EndReason.REVOKED)
        return False

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(conf.current().revalidate_interval / 2)
            try:
                await self._look(list(self._records()))
            except StoreUnavailable as error:
                logger.warning(
                    "Sessions could not be revalidated: %s",
                    error,
                    extra={"event": "not_revalidated", "error": str(error)},
                )

    async def _look(self, records: list[Record]) -> None:
        suspects = await self._identities.rejected(records)
        # What is known here may be older than the session's key.
        found = [await self._store.find(record.sid) for record in suspects]
        rejected = await self._rejected([f for f in found if f and f.is_live])
        missing = {(record.sid, record.session_key) for record in rejected}
        for sid, _ in missing & self._missing:
            await self._store.end(sid, EndReason.REVOKED)
        self._missing = missing

    async def _rejected(self, found: Iterable[Found]) -> list[Record]:
        """Return what Django would not accept any more; but not what reaches its fixed end presently."""
        return await self._identities.rejected([f.record for f in found if not _ends_presently(f)])


def _ends_presently(found: Found) -> bool:
    fixed_end_at = found.record.fixed_end_at
    return fixed_end_at is not None and fixed_end_at - found.now < EARLY
