"""What an event loop still knows when the store has lost it: after a flush, a restart, a failover.

Nobody who is connected shall be logged out by that, nobody who was active counted idle, and nobody whose
session had ended be let in again.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping

from .logs import get_logger, short
from .policy import EndReason, Record
from .settling import settle
from .stores import BaseStore
from .stores.base import Records
from .threads import DatabaseThreads

logger = get_logger(__name__)

REWOUND = 0.5
"""By how many seconds the last activity has to be older than known for the store to have lost some."""
REMEMBER_ENDS = 600.0
"""Seconds for which an end is known here: longer than any replica should be behind."""
MOST_ENDS = 20_000


class Restoration:
    """Tells the store again what it has lost, and ``lost`` that it has lost something."""

    def __init__(
        self,
        store: BaseStore,
        threads: DatabaseThreads,
        loop_time: Callable[[], float],
        lost: Callable[[], None],
    ) -> None:
        self._store = store
        self._threads = threads
        self._loop_time = loop_time
        self._lost = lost
        self._epoch: int | None = None
        self._was_away = False
        self._ends: OrderedDict[str, tuple[float, EndReason]] = OrderedDict()

    @property
    def ends(self) -> list[str]:
        """The sids that are known to have ended, of late."""
        return list(self._ends)

    def ended(self, record: Record) -> None:
        """Remember an end: no more of it than is needed, as there may be many."""
        now = self._loop_time()
        self._ends[record.sid] = now, record.end_reason or EndReason.UNKNOWN
        while (
            len(self._ends) > MOST_ENDS or next(iter(self._ends.values()))[0] < now - REMEMBER_ENDS
        ):
            self._ends.popitem(last=False)

    def has_ended(self, sid: str) -> bool:
        """Say whether a session is known to have ended, of late. On any thread."""
        return sid in self._ends

    def away(self) -> None:
        """Know that the store did not answer."""
        self._was_away = True

    def answered(self) -> None:
        """Know that it did; call it before ``restored``."""
        epoch, self._epoch = self._epoch, self._store.epoch
        was_away, self._was_away = self._was_away, False
        if was_away or epoch not in (None, self._epoch):
            self._lost()

    async def restored(self, now: float, known: Records, found: Records) -> Records:
        """Return what the store has of sessions that are ``known`` here, once it has been told again.

        ``known`` is from before the store was asked. Its ``found`` is what it answered at its ``now``.
        """
        missing = known.keys() - found.keys()
        if not missing and not _rewound(found, known):
            return found
        self._lost()
        opened = [await self._store.aopen(known[sid], only_missing=True) for sid in missing]
        found = {**found, **{record.sid: record for record in opened if record}}
        if others := known.keys() - found.keys():
            # Another process has told it meanwhile, and may know more, or less.
            now, told = await self._store.aget(others)
            found |= told
        rewound = _rewound(found, known)
        restored = await self._touch_again(now, known, {sid: found[sid] for sid in rewound})
        for sid in _rewound(restored, known):
            again = await self._store.aopen(known[sid])
            restored |= {sid: again} if again else {}
        logger.warning(
            "The store had lost %d sessions and later activity in %d; told it again.",
            len(missing),
            len(rewound),
            extra={"event": "store_told_again", "missing": len(missing), "rewound": len(rewound)},
        )
        return {**found, **restored}

    async def _touch_again(self, now: float, known: Records, rewound: Records) -> Records:
        if not rewound:
            return {}
        ages = {sid: max(0.0, now - known[sid].last_activity_at) for sid in rewound}
        # It counted then, so it counts now, though by what the store has left there may have been a warning.
        await self._store.atouch(ages, True)
        return rewound | (await self._store.aget(rewound))[1]

    async def end_again(self, batch: Mapping[str, None]) -> dict[str, None]:
        """End those of these ended sessions that are live again. Their signal has been sent."""
        reasons = {sid: self._ends[sid][1] for sid in batch if sid in self._ends}
        _, found = await self._store.aget(reasons)
        revived = [record.sid for record in found.values() if record.ended_at is None]
        for sid in revived:
            again = await self._store.aend(sid, reasons[sid])
            if again is not None:
                logger.warning(
                    "%s… had ended, was live again and is ended again.",
                    short(sid),
                    extra={"event": "ended_again", "sid": short(sid)},
                )
                self._threads.submit(settle, [again], True)
        return {}


def _rewound(found: Records, known: Records) -> set[str]:
    return {sid for sid in known.keys() & found.keys() if _is_older(found[sid], known[sid])}


def _is_older(found: Record, known: Record) -> bool:
    """Say whether the store has an older state of the same login than is known here."""
    same_login = found.ended_at is None and found.started_at == known.started_at
    return same_login and found.last_activity_at < known.last_activity_at - REWOUND
