"""Sessions in a table of the project's database: the default store.

The clock is the database's on PostgreSQL, MySQL and MariaDB, and the process's with SQLite, which runs
in the process. What an event loop asks runs on one thread of the store's own, so that a slow view's
query cannot delay it.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

from django.db import IntegrityError, connections, router, transaction
from django.db.models import F, QuerySet
from django.db.models.expressions import RawSQL
from msgspec.structs import replace

from ..models import MonitoredSession
from ..policy import EndReason, Policy, Record
from ..threads import DatabaseThreads
from .base import BaseStore, Records
from .clock import DatabaseClock
from .ends import Ends
from .failures import operation
from .presence import Presences
from .rows import COLUMNS, LIMIT_COLUMNS, fitted, to_columns, to_record
from .touch_sql import touch_rows

T = TypeVar("T")
P = ParamSpec("P")
_CHUNK = 500


class ORMStore(BaseStore):
    """The contract on ``MonitoredSession``.

    ``using`` is a database alias (None: the project's routers decide); ``clock`` replaces the store's clock
    by a callable that returns epoch seconds, for tests.
    """

    def __init__(self, using: str | None = None, clock: Callable[[], float] | None = None) -> None:
        self._using = using
        self._clock = DatabaseClock(clock)
        self._lock = threading.Lock()
        self._loops = 0
        self._thread: DatabaseThreads | None = None

    @operation
    def open(
        self, record: Record, as_of: float | None = None, only_missing: bool = False
    ) -> Record | None:
        opened = fitted(record if as_of is None else record.shifted(self._now() - as_of))
        columns = to_columns(opened)
        live = self._rows().filter(sid=record.sid, ended_at=None)
        if not only_missing and live.update(**columns):
            return opened
        try:
            with transaction.atomic(using=self.alias):
                self._rows().create(**columns)
        except IntegrityError:
            # Somebody opened it meanwhile, or it has ended.
            return opened if not only_missing and live.update(**columns) else None
        return opened

    @operation
    def get(self, sids: Iterable[str]) -> tuple[float, Records]:
        return self._read(self._rows().filter(sid__in=list(sids)))

    @operation
    def touch(
        self, ages: Mapping[str, float], extend: bool = False, page: bool = False
    ) -> tuple[float, Records]:
        now, before = 0.0, {}
        # In one order everywhere: else the batches of two processes could wait for each other's rows.
        items = sorted(ages.items())
        for start in range(0, len(items), _CHUNK):
            rows = touch_rows(
                connections[self.alias],
                self._now_expression(),
                items[start : start + _CHUNK],
                extend,
                page,
            )
            for *values, store_now in rows:
                record = to_record(tuple(values))
                before[record.sid] = record
                now = float(store_now)
        return (now if before else self._now()), before

    @operation
    def end(self, sid: str, reason: EndReason) -> Record | None:
        return next(iter(self._ends().end([sid], reason)), None)

    @operation
    def end_due(self, sids: Iterable[str]) -> list[Record]:
        return self._ends().end_due(sids)

    @operation
    def overdue(self, limit: int) -> list[str]:
        while True:
            now = self._now()
            candidates = self._rows().filter(due_after__lte=now, ended_at=None)
            _, records = self._read(candidates.order_by("due_after")[:limit])
            # Live in the table, but ended as read: such a row says nothing that could be due.
            refused = [sid for sid, record in records.items() if record.ended_at is not None]
            self._ends().end(refused, EndReason.UNKNOWN)
            due = [sid for sid, record in records.items() if record.deadline_at <= now]
            if due or not records:
                return due
            for sid, record in records.items():
                # Not if somebody has lowered it meanwhile: it must stay a lower bound.
                stale = self._rows().filter(sid=sid, ended_at=None, due_after__lte=now)
                stale.update(due_after=record.deadline_at)

    @operation
    def claim_unfinished(self, age: float, limit: int) -> list[Record]:
        return self._ends().claim_unfinished(age, limit)

    @operation
    def finish(self, sids: Iterable[str]) -> None:
        self._ends().finish(sids)

    @operation
    def bind(self, sid: str, session_key: str, cookie_age: float, credentials: str = "") -> None:
        self._rows().filter(sid=sid, ended_at=None).update(
            session_key=session_key,
            credentials=credentials,
            cookie_age=cookie_age,
            saved_at=self._now_expression(),
        )

    @operation
    def set_expiry(self, sid: str, idle_cap: float | None, fixed_end_in: float | None) -> None:
        fixed_end_at = None if fixed_end_in is None else self._now() + fixed_end_in
        self._set_limits(sid, idle_cap=idle_cap, fixed_end_at=fixed_end_at)

    @operation
    def set_policy(self, sid: str, policy: Policy) -> bool:
        return self._set_limits(sid, policy=policy)

    def _set_limits(self, sid: str, **facts: Any) -> bool:
        live = self._rows().filter(sid=sid, ended_at=None)
        with transaction.atomic(using=self.alias):
            # Written before it is read: SQLite fails at once where others wrote between the two.
            live.update(due_after=F("due_after"))
            found = self._read(live.select_for_update())[1]
            if sid not in found or found[sid].ended_at is not None:
                return False
            columns = to_columns(replace(found[sid], **facts))
            return live.update(**{name: columns[name] for name in LIMIT_COLUMNS}) > 0

    @operation
    def join(self, sid: str, process: str, lease: float) -> None:
        self._presences().join(sid, process, lease)

    @operation
    def leave(self, sid: str, process: str) -> None:
        self._presences().leave(sid, process)

    @operation
    def renew(self, sids: Iterable[str], process: str, lease: float) -> None:
        self._presences().renew(sids, process, lease)

    @operation
    def close_lapsed(self) -> None:
        self._presences().close_lapsed()

    @operation
    def find_ended(self, session_key: str) -> Record | None:
        if not session_key or "\0" in session_key:
            # A cookie may hold what no key holds, and what PostgreSQL refuses.
            return None
        rows = self._rows().filter(session_key=session_key, ended_at__isnull=False)
        return next(iter(self._read(rows.order_by("-ended_at")[:1])[1].values()), None)

    @operation
    def for_user(self, user_id: str) -> tuple[float, list[Record]]:
        rows = self._rows().filter(user_id=user_id, ended_at=None).order_by("-started_at")
        now, records = self._read(rows)
        # A row that cannot be read is live in the table only.
        return now, [record for record in records.values() if record.ended_at is None]

    @operation
    def all(self, after: str = "", limit: int = 500) -> list[Record]:
        rows = self._rows().filter(sid__gt=after).order_by("sid")[:limit]
        return list(self._read(rows)[1].values())

    @operation
    def purge(self, age: float) -> int:
        rows = self._rows().filter(finished=True, ended_at__lte=self._now() - age)
        return rows.delete()[0]

    @property
    def alias(self) -> str:
        """The database's alias, as the project's routers say unless ``using`` does."""
        return self._using or router.db_for_write(MonitoredSession)

    def _rows(self) -> "QuerySet[MonitoredSession]":
        return MonitoredSession.objects.using(self.alias)

    def _presences(self) -> Presences:
        return Presences(self.alias, self._now())

    def _ends(self) -> Ends:
        return Ends(
            self.alias, self._now_expression(), lambda rows: list(self._read(rows)[1].values())
        )

    def _read(self, rows: "QuerySet[MonitoredSession]") -> tuple[float, Records]:
        now, records = 0.0, {}
        query = rows.annotate(store_now=self._now_expression())
        for *values, store_now in query.values_list(*COLUMNS, "store_now"):
            record = to_record(tuple(values))
            records[record.sid] = record
            now = float(store_now)
        return (now if records else self._now()), records

    def _now_expression(self) -> RawSQL:
        return self._clock.expression(self.alias)

    def _now(self) -> float:
        return self._clock.now(self.alias)

    def on_commit(self, job: Callable[[], None]) -> None:
        blocks = connections[self.alias].atomic_blocks
        if all(getattr(block, "_from_testcase", False) for block in blocks):
            # No transaction, or one around a whole test, which never commits.
            job()
        else:
            # Robust: what was committed is true, whatever becomes of the job.
            transaction.on_commit(job, using=self.alias, robust=True)

    def start(self) -> None:
        with self._lock:
            self._loops += 1

    async def astop(self) -> None:
        with self._lock:
            self._loops -= 1
            if not self._loops:
                self._stop_thread()

    async def _run(self, operation: Callable[..., T], *args: Any) -> T:
        with self._lock:
            if self._thread is None:
                self._thread = DatabaseThreads(1, "realtime-session-store")
            # Submitted under the lock, so that it cannot meet a thread that was just stopped.
            future = self._thread.submit(operation, *args)
            if not self._loops:
                self._stop_thread()
        return await asyncio.wrap_future(future)

    def _stop_thread(self) -> None:
        if self._thread is not None:
            self._thread.stop()
            self._thread = None
