"""What one event loop asks the store: looks, activity, extensions and ends, each of them in batches."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future

from . import bus, losses, monitor, presenter
from .batcher import Batcher
from .findings import Found, Listener
from .losses import RecordsLostError
from .policy import EndReason, Record, touched
from .proof import Proof
from .restoration import Restoration
from .settling import DELETION_TIMEOUT, clean_up, delete_sessions
from .store_clock import StoreClock
from .stores import get_store
from .threads import DatabaseThreads

ACTIVITY_TICK = 0.25
"""Seconds for which activity may wait to be written together with other activity."""
SLICE = 25
"""Sessions whose tabs are told of their end before the event loop gets on with something else."""
CLEAN_UP_TOGETHER = 100


class StoreCalls:
    """The calls, and the store's clock. Whatever is asked for raises StoreUnavailable."""

    def __init__(self, listener: Listener, threads: DatabaseThreads) -> None:
        self._loop = asyncio.get_running_loop()
        self._store = get_store()
        self._listener = listener
        self._threads = threads
        self._clock = StoreClock(self._loop.time, listener.doubt_all)
        self._restoration = Restoration(self._store, threads, self._loop.time, self._lost)
        tell = self._away
        self._looks = Batcher("look", self._look, unavailable=tell)
        self._touches = Batcher("activity", self._touch, delay=ACTIVITY_TICK, unavailable=tell)
        self._extends = Batcher("extend", self._extend, keep=False)
        self._ends = Batcher("end", self._end, keep=False)
        self._due_ends = Batcher("end-due", self._end_due, unavailable=tell)
        self._ends_again = Batcher("end-again", self._restoration.end_again)
        self._deletion: Future[dict[str, Exception]] | None = None
        self._heard_at = self._loop.time()
        answered = self._restoration.answered
        self._proof = Proof(self._store, lambda: self._heard_at, answered, self._look_at_any)
        ends = self._ends, self._due_ends, self._ends_again
        self._batchers = self._touches, self._extends, *ends, self._looks

    def start(self) -> None:
        """Begin to make calls."""
        self._store.start()
        for batcher in self._batchers:
            batcher.start()
        self._proof.start()
        losses.know_by(self._live)
        # Else the first end would load all URLs of the project, while the loop waits.
        self._threads.submit(presenter.login_url)

    async def stop(self) -> None:
        """Make the calls that are still to be made, and end."""
        losses.forget_by(self._live)
        await self._proof.stop()
        for batcher in self._batchers:
            await batcher.stop()
        await self._store.astop()

    def now(self) -> float:
        """Return the store's clock, as far as its last answer tells: epoch seconds."""
        return self._clock.now()

    def loop_time(self, instant: float) -> float:
        """Return the loop's time of an instant of the store's clock: rather too early than too late."""
        return self._clock.loop_time(instant)

    def want_look(self, sid: str) -> None:
        """Look at a session soon, and tell the listener."""
        self._looks.add(sid, None)

    async def find(self, sid: str) -> Found | None:
        """Look at a session now; end it first if it is due. None if it is over."""
        found = await self._looks.ask(sid, None)
        if found is None and await self._store.alost_lately():
            raise RecordsLostError
        if found is not None and found.is_due:
            await self._due_ends.ask(sid, None)
            found = await self._looks.ask(sid, None)
        return found

    async def why_gone(self, session_key: str) -> EndReason | None:
        """Say why a cookie's Django session is gone, None if not because we ended it."""
        record = await self._store.afind_ended(session_key)
        return None if record is None else record.end_reason

    def activity(self, sid: str, *, urgent: bool) -> None:
        """Note activity in this moment: written with the next tick, at once if ``urgent``."""
        self._touches.add(sid, self._loop.time(), urgent=urgent)

    async def extend(self, sid: str) -> Found | None:
        """Move the idle deadline now, as the user chose to stay."""
        return await self._extends.ask(sid, None)

    async def end(self, sid: str, reason: EndReason) -> None:
        """End a session everywhere."""
        await self._ends.ask(sid, reason)

    def want_end_if_due(self, sid: str) -> None:
        """End a session soon if its deadline has passed in the store, and look at it if not."""
        self._due_ends.add(sid, None)

    def _heard(self, now: float, asked_at: float) -> None:
        self._heard_at = self._loop.time()
        self._clock.heard(now, asked_at)
        self._restoration.answered()

    def _away(self, sids: list[str]) -> None:
        self._restoration.away()
        self._listener.unavailable(sids)

    def _lost(self) -> None:
        for sid in self._restoration.ends:
            self._ends_again.add(sid, None)
        self._listener.lost()

    def _look_at_any(self) -> None:
        sid = self._listener.any_sid()
        if sid is not None:
            self.want_look(sid)

    async def _look(self, batch: dict[str, None]) -> dict[str, Found]:
        asked_at = self._loop.time()
        known = self._known(batch)
        now, records = await self._store.aget(batch)
        self._heard(now, asked_at)
        records = await self._restoration.restored(now, known, records)
        found = {sid: Found(record, now) for sid, record in records.items()}
        # At once, before anything newer can be heard of them.
        for each in found.values():
            if each.record.ended_at is None:
                self._listener.looked(each)
        await self._tell([each for each in found.values() if each.record.ended_at is not None])
        return found

    def _known(self, sids: Iterable[str]) -> dict[str, Record]:
        return {sid: record for sid in sids if (record := self._live(sid))}

    def _live(self, sid: str) -> Record | None:
        # Tabs hear of an end only after its Django session is deleted: meanwhile nothing may revive it.
        return None if self._restoration.has_ended(sid) else self._listener.known(sid)

    async def _touch(self, batch: dict[str, float]) -> dict[str, Found]:
        ages = {sid: max(0.0, self._loop.time() - at) for sid, at in batch.items()}
        return await self._touch_store(ages, extend=False)

    async def _extend(self, batch: dict[str, None]) -> dict[str, Found]:
        return await self._touch_store(dict.fromkeys(batch, 0.0), extend=True)

    async def _touch_store(self, ages: dict[str, float], *, extend: bool) -> dict[str, Found]:
        asked_at = self._loop.time()
        known = self._known(ages)
        now, before = await self._store.atouch(ages, extend)
        self._heard(now, asked_at)
        after = {sid: touched(r, now - ages[sid], extend=extend) for sid, r in before.items()}
        known = {sid: record for sid, record in known.items() if sid in before}
        found = {}
        for sid, record in (await self._restoration.restored(now, known, after)).items():
            found[sid] = Found(record, now)
            if record.ended_at is not None:
                continue
            self._listener.touched(found[sid])
            if monitor.ended_warning(before[sid], record, now):
                bus.nudge([sid])
        for sid in ages.keys() - before.keys():
            self.want_look(sid)
        await self._tell([each for each in found.values() if each.record.ended_at is not None])
        return found

    async def _end(self, batch: dict[str, EndReason]) -> dict[str, None]:
        ended = [await self._end_one(sid, reason) for sid, reason in batch.items()]
        return await self._ended(batch, [record for record in ended if record is not None])

    async def _end_one(self, sid: str, reason: EndReason) -> Record | None:
        record = await self._store.aend(sid, reason)
        if record is None and sid in await self._look({sid: None}):
            # If the store had lost it, the look has told it again.
            record = await self._store.aend(sid, reason)
        return record

    async def _end_due(self, batch: dict[str, None]) -> dict[str, None]:
        return await self._ended(batch, await self._store.aend_due(batch))

    async def _ended(self, asked: Iterable[str], ended: list[Record]) -> dict[str, None]:
        for sid in set(asked) - {record.sid for record in ended}:
            if self._listener.known(sid):
                # Somebody else ended it, or was active: no nudge of ours will tell the tabs here.
                self.want_look(sid)
        if ended:
            await self._settle(ended)
        return {}

    async def _settle(self, ended: list[Record]) -> None:
        for record in ended:
            self._restoration.ended(record)
        earlier = self._deletion
        self._deletion = deletion = self._threads.submit(delete_sessions, ended)
        try:
            # Not waited for again while the backend is slow: in a storm there are many batches.
            if earlier is None or earlier.done():
                await asyncio.wait([asyncio.wrap_future(deletion)], timeout=DELETION_TIMEOUT)
            await self._tell([Found(record, self.now()) for record in ended], nudging=True)
        finally:
            # Not waited for: it may be slow.
            for start in range(0, len(ended), CLEAN_UP_TOGETHER):
                some = ended[start : start + CLEAN_UP_TOGETHER]
                # The deletion was submitted before: a thread that waits for it keeps it from no thread.
                self._threads.submit(lambda some=some: clean_up(some, deletion.result()))

    async def _tell(self, ended: list[Found], *, nudging: bool = False) -> None:
        for start in range(0, len(ended), SLICE):
            some = ended[start : start + SLICE]
            for each in some:
                self._restoration.ended(each.record)
                self._listener.looked(each)
            # Before anything is really sent: by then nobody in this process remembers a live session.
            sids = [each.record.sid for each in some]
            bus.nudge(sids) if nudging else bus.tell_this_process(sids)
            await asyncio.sleep(0)
