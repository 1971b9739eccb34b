"""Sessions in a dictionary of this process: for tests, and for one process that may forget on restart."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, TypeVar

from msgspec.structs import replace

from ..policy import EndReason, Phase, Policy, Record, evaluate, touched
from .base import BaseStore, Records

T = TypeVar("T")


class MemoryStore(BaseStore):
    """The contract on a dictionary. ``clock`` gives epoch seconds; tests inject their own."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._records: Records = {}
        self._claims: dict[str, float] = {}
        self._leases: dict[str, dict[str, float]] = {}
        self._lock = threading.Lock()

    def open(
        self, record: Record, as_of: float | None = None, only_missing: bool = False
    ) -> Record | None:
        with self._lock:
            known = self._records.get(record.sid)
            if known is not None and (only_missing or known.ended_at is not None):
                return None
            opened = record if as_of is None else record.shifted(self._clock() - as_of)
            self._records[record.sid] = opened
            return opened

    def get(self, sids: Iterable[str]) -> tuple[float, Records]:
        with self._lock:
            return self._clock(), self._found(sids)

    def _found(self, sids: Iterable[str]) -> Records:
        return {sid: self._records[sid] for sid in sids if sid in self._records}

    def touch(
        self, ages: Mapping[str, float], extend: bool = False, page: bool = False
    ) -> tuple[float, Records]:
        with self._lock:
            now = self._clock()
            before = self._found(ages)
            for sid, record in before.items():
                self._records[sid] = touched(record, now - ages[sid], extend=extend, page=page)
            return now, before

    def end(self, sid: str, reason: EndReason) -> Record | None:
        with self._lock:
            record = self._records.get(sid)
            if record is None or record.ended_at is not None:
                return None
            return self._end(record, reason)

    def end_due(self, sids: Iterable[str]) -> list[Record]:
        with self._lock:
            now = self._clock()
            live = [r for r in self._found(sids).values() if r.ended_at is None]
            judged = [(record, evaluate(record, now)) for record in live]
            return [
                self._end(record, status.reason)
                for record, status in judged
                if status.phase is Phase.ENDED
            ]

    def _end(self, record: Record, reason: EndReason) -> Record:
        now = self._clock()
        ended = self._records[record.sid] = replace(record, ended_at=now, end_reason=reason)
        self._claims[record.sid] = now
        return ended

    def overdue(self, limit: int) -> list[str]:
        with self._lock:
            now = self._clock()
            open_ = (r for r in self._records.values() if r.ended_at is None)
            return [r.sid for r in open_ if r.deadline_at <= now][:limit]

    def claim_unfinished(self, age: float, limit: int) -> list[Record]:
        with self._lock:
            now = self._clock()
            lapsed = [sid for sid, at in self._claims.items() if at <= now - age][:limit]
            self._claims |= dict.fromkeys(lapsed, now)
            return list(self._found(lapsed).values())

    def finish(self, sids: Iterable[str]) -> None:
        with self._lock:
            for sid in sids:
                if self._claims.pop(sid, None) is not None:
                    self._records[sid] = replace(self._records[sid], finished=True)

    def bind(self, sid: str, session_key: str, cookie_age: float, credentials: str = "") -> None:
        self._change(
            sid,
            session_key=session_key,
            credentials=credentials,
            cookie_age=cookie_age,
            saved_at=self._clock(),
        )

    def set_expiry(self, sid: str, idle_cap: float | None, fixed_end_in: float | None) -> None:
        fixed_end_at = None if fixed_end_in is None else self._clock() + fixed_end_in
        self._change(sid, idle_cap=idle_cap, fixed_end_at=fixed_end_at)

    def set_policy(self, sid: str, policy: Policy) -> bool:
        return self._change(sid, policy=policy)

    def _change(self, sid: str, **facts: Any) -> bool:
        with self._lock:
            record = self._records.get(sid)
            if record is None or record.ended_at is not None:
                return False
            self._records[sid] = replace(record, **facts)
            return True

    def join(self, sid: str, process: str, lease: float) -> None:
        with self._lock:
            now = self._clock()
            record = self._records.get(sid)
            if record is not None and evaluate(record, now).phase is not Phase.ENDED:
                self._leases.setdefault(sid, {})[process] = now + lease
                self._records[sid] = record.joined(now)

    def leave(self, sid: str, process: str) -> None:
        with self._lock:
            if self._leases.get(sid, {}).pop(process, None) is not None:
                self._close_if_empty(sid)

    def renew(self, sids: Iterable[str], process: str, lease: float) -> None:
        with self._lock:
            for sid in sids:
                if process in self._leases.get(sid, {}):
                    self._leases[sid][process] = self._clock() + lease

    def close_lapsed(self) -> None:
        with self._lock:
            for sid in list(self._leases):
                self._close_if_empty(sid)

    def _close_if_empty(self, sid: str) -> None:
        now = self._clock()
        leases = self._leases[sid]
        self._leases[sid] = {process: until for process, until in leases.items() if until > now}
        if not self._leases[sid]:
            del self._leases[sid]
            record = self._records.get(sid)
            if record is not None and record.ended_at is None:
                self._records[sid] = record.left(now)

    def find_ended(self, session_key: str) -> Record | None:
        if not session_key:
            return None
        with self._lock:
            ended = [
                (r.ended_at, r)
                for r in self._records.values()
                if r.ended_at is not None and r.session_key == session_key
            ]
            return max(ended, key=itemgetter(0))[1] if ended else None

    def for_user(self, user_id: str) -> tuple[float, list[Record]]:
        with self._lock:
            theirs = [
                r for r in self._records.values() if r.user_id == user_id and r.ended_at is None
            ]
            return self._clock(), sorted(theirs, key=lambda r: r.started_at, reverse=True)

    def all(self, after: str = "", limit: int = 500) -> list[Record]:
        with self._lock:
            sids = sorted(sid for sid in self._records if sid > after)[:limit]
            return [self._records[sid] for sid in sids]

    def purge(self, age: float) -> int:
        with self._lock:
            before = self._clock() - age
            old = [
                record.sid
                for record in self._records.values()
                if record.finished and record.ended_at is not None and record.ended_at <= before
            ]
            for sid in old:
                del self._records[sid]
            return len(old)

    async def _run(self, operation: Callable[..., T], *args: Any) -> T:
        # No operation waits for anything but the lock, which is held for microseconds.
        return operation(*args)
