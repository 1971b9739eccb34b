"""Sessions in a table of the project's database: the default store.

The clock is the database's on PostgreSQL, MySQL and MariaDB, and the process's with SQLite, which runs
in the process. What an event loop asks runs on one thread of the store's own, so that a slow view's
query cannot delay it.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.db import Error, IntegrityError, connections, router, transaction
from django.db.models import FloatField, QuerySet
from django.db.models.expressions import RawSQL

from ..models import MonitoredSession
from ..policy import EndReason, Phase, Policy, Record, evaluate
from ..threads import DatabaseThreads
from .base import BaseStore, Records, StoreUnavailable
from .rows import COLUMNS, LIMIT_COLUMNS, fitted, to_columns, to_record
from .touch_sql import touch_rows

T = TypeVar("T")
P = ParamSpec("P")
_NOW_SQL = {
    "postgresql": "EXTRACT(EPOCH FROM statement_timestamp())::double precision",
    # Not UNIX_TIMESTAMP(NOW(6)): it is ambiguous when the server's zone leaves daylight saving time.
    "mysql": "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1e6",
}
_CHUNK = 500
_LOCK_TIMEOUT = 5.0


def _operation(
    method: Callable[Concatenate["ORMStore", P], T],
) -> Callable[Concatenate["ORMStore", P], T]:
    """Turn what the database raises into StoreUnavailable, and leave a fresh connection behind."""

    @wraps(method)
    def operation(self: "ORMStore", /, *args: P.args, **kwargs: P.kwargs) -> T:
        give_up_at = time.monotonic() + _LOCK_TIMEOUT
        while True:
            try:
                return method(self, *args, **kwargs)
            except Error as error:
                connection = connections[self._alias]
                if _is_table_lock(error) and not connection.in_atomic_block:
                    if time.monotonic() < give_up_at:
                        time.sleep(0.005)
                        continue
                elif not connection.in_atomic_block:
                    connection.close()
                raise StoreUnavailable(f"the database failed: {type(error).__name__}") from error

    return operation


def _is_table_lock(error: Error) -> bool:
    # SQLite's shared cache (in-memory databases of tests) answers so at once, whatever its busy timeout.
    return "table is locked" in str(error)


class ORMStore(BaseStore):
    """The contract on ``MonitoredSession``.

    ``using`` is a database alias (None: the project's routers decide); ``clock`` replaces the store's clock
    by a callable that returns epoch seconds, for tests.
    """

    def __init__(self, using: str | None = None, clock: Callable[[], float] | None = None) -> None:
        self._using = using
        self._clock = clock
        self._lock = threading.Lock()
        self._loops = 0
        self._thread: DatabaseThreads | None = None

    @_operation
    def open(self, record: Record, as_of: float | None = None) -> Record | None:
        opened = fitted(record if as_of is None else record.shifted(self._now() - as_of))
        columns = to_columns(opened)
        live = self._rows().filter(sid=record.sid, ended_at=None)
        if live.update(**columns):
            return opened
        try:
            with transaction.atomic(using=self._alias):
                self._rows().create(**columns)
        except IntegrityError:
            # Somebody opened it meanwhile, or it has ended.
            return opened if live.update(**columns) else None
        return opened

    @_operation
    def get(self, sids: Iterable[str]) -> tuple[float, Records]:
        return self._read(self._rows().filter(sid__in=list(sids)))

    @_operation
    def touch(self, ages: Mapping[str, float], extend: bool = False) -> tuple[float, Records]:
        now, before = 0.0, {}
        # In one order everywhere: else the batches of two processes could wait for each other's rows.
        items = sorted(ages.items())
        for start in range(0, len(items), _CHUNK):
            rows = touch_rows(
                connections[self._alias],
                self._now_expression(),
                items[start : start + _CHUNK],
                extend,
            )
            for *values, store_now in rows:
                record = to_record(tuple(values))
                before[record.sid] = record
                now = float(store_now)
        return (now if before else self._now()), before

    @_operation
    def end(self, sid: str, reason: EndReason, only_if_due: bool = False) -> Record | None:
        live = self._rows().filter(sid=sid, ended_at=None)
        if connections[self._alias].in_atomic_block:
            # Without the lock, a transaction's snapshot might show the same however often it is read.
            live = live.select_for_update()
        while True:
            now, found = self._read(live)
            record = found.get(sid)
            if record is None:
                return None
            status = evaluate(record, now)
            if only_if_due and status.phase is not Phase.ENDED:
                return None
            # Activity only moves forward: if any came after the look, this matches no row.
            unchanged = self._rows().filter(
                sid=sid, ended_at=None, last_activity_at__lte=record.last_activity_at
            )
            reason = status.reason if only_if_due else reason
            # The process's clock was read before the row was: activity may have come in between.
            ended_at = max(now, record.last_activity_at)
            if unchanged.update(ended_at=ended_at, end_reason=reason, due_after=None):
                # Read again: other facts may have changed since the look, and now cannot any more.
                return self._read(self._rows().filter(sid=sid))[1].get(sid)

    @_operation
    def overdue(self, limit: int) -> list[str]:
        while True:
            now = self._now()
            candidates = self._rows().filter(due_after__lte=now).order_by("due_after")
            _, records = self._read(candidates[:limit])
            due = [sid for sid, record in records.items() if record.deadline_at <= now]
            if due or not records:
                return due
            for sid, record in records.items():
                self._rows().filter(sid=sid, ended_at=None).update(due_after=record.deadline_at)

    @_operation
    def unfinished(self, age: float, limit: int) -> list[Record]:
        rows = self._rows().filter(finished=False, ended_at__lte=self._now() - age)
        return list(self._read(rows.order_by("ended_at")[:limit])[1].values())

    @_operation
    def finish(self, sid: str) -> None:
        self._rows().filter(sid=sid, ended_at__isnull=False).update(finished=True)

    @_operation
    def bind(self, sid: str, session_key: str, cookie_age: float, credentials: str = "") -> None:
        self._rows().filter(sid=sid, ended_at=None).update(
            session_key=session_key,
            credentials=credentials,
            cookie_age=cookie_age,
            saved_at=self._now_expression(),
        )

    @_operation
    def set_expiry(self, sid: str, idle_cap: float | None, fixed_end_in: float | None) -> None:
        fixed_end_at = None if fixed_end_in is None else self._now() + fixed_end_in
        self._set_limits(sid, idle_cap=idle_cap, fixed_end_at=fixed_end_at)

    @_operation
    def set_policy(self, sid: str, policy: Policy) -> bool:
        return self._set_limits(sid, policy=policy)

    def _set_limits(self, sid: str, **facts: Any) -> bool:
        live = self._rows().filter(sid=sid, ended_at=None)
        with transaction.atomic(using=self._alias):
            found = self._read(live.select_for_update())[1]
            if sid not in found:
                return False
            columns = to_columns(replace(found[sid], **facts))
            return live.update(**{name: columns[name] for name in LIMIT_COLUMNS}) > 0

    @_operation
    def find_ended(self, session_key: str) -> Record | None:
        if not session_key or "\0" in session_key:
            # A cookie may hold what no key holds, and what PostgreSQL refuses.
            return None
        rows = self._rows().filter(session_key=session_key, ended_at__isnull=False)
        return next(iter(self._read(rows.order_by("-ended_at")[:1])[1].values()), None)

    @_operation
    def for_user(self, user_id: str) -> tuple[float, list[Record]]:
        rows = self._rows().filter(user_id=user_id, ended_at=None).order_by("-started_at")
        now, records = self._read(rows)
        return now, list(records.values())

    @_operation
    def all(self, after: str = "", limit: int = 500) -> list[Record]:
        rows = self._rows().filter(sid__gt=after).order_by("sid")[:limit]
        return list(self._read(rows)[1].values())

    @_operation
    def purge(self, age: float) -> int:
        rows = self._rows().filter(finished=True, ended_at__lte=self._now() - age)
        return rows.delete()[0]

    @property
    def _alias(self) -> str:
        return self._using or router.db_for_write(MonitoredSession)

    def _rows(self) -> "QuerySet[MonitoredSession]":
        return MonitoredSession.objects.using(self._alias)

    def _read(self, rows: "QuerySet[MonitoredSession]") -> tuple[float, Records]:
        now, records = 0.0, {}
        query = rows.annotate(store_now=self._now_expression())
        for *values, store_now in query.values_list(*COLUMNS, "store_now"):
            record = to_record(tuple(values))
            records[record.sid] = record
            now = float(store_now)
        return (now if records else self._now()), records

    def _now_expression(self) -> RawSQL:
        vendor = connections[self._alias].vendor
        if self._clock is None and vendor in _NOW_SQL:
            return RawSQL(_NOW_SQL[vendor], (), output_field=FloatField())  # noqa: S611  # constants
        now = time.time() if self._clock is None else self._clock()
        cast = "CAST(%s AS double precision)" if vendor == "postgresql" else "(%s + 0.0)"
        return RawSQL(cast, (now,), output_field=FloatField())  # noqa: S611  # constants

    def _now(self) -> float:
        expression = self._now_expression()
        if expression.params:
            return float(expression.params[0])
        with connections[self._alias].cursor() as cursor:
            cursor.execute(f"SELECT {expression.sql}")
            return float(cursor.fetchone()[0])

    def on_commit(self, job: Callable[[], None]) -> None:
        transaction.on_commit(job, using=self._alias)

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
