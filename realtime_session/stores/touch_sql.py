"""``policy.touched`` in SQL: one statement for many sessions, which also tells what the rows were.

PostgreSQL and SQLite do it in a single UPDATE … RETURNING, in which ``previous_activity_at`` keeps what
``last_activity_at`` was, because RETURNING sees only new values. MySQL and MariaDB, which cannot return
what an UPDATE wrote, do it in a SELECT that locks the rows and an UPDATE by the time that it told.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper as Connection
from django.db.models.expressions import RawSQL

from ..models import MonitoredSession
from .rows import COLUMNS

Ages = list[tuple[str, float]]
Rows = list[tuple[Any, ...]]
SetTo = Callable[[str], str]
"""Gives the assignments for an SQL expression of the instant."""

_TABLE = MonitoredSession._meta.db_table
_BEFORE = ", ".join(
    "previous_activity_at" if name == "last_activity_at" else name for name in COLUMNS
)
_IS_LIVE = """
    ended_at IS NULL
    AND {at} < last_activity_at + idle_limit
    AND {at} < hard_end_at
    AND (closing_at IS NULL OR {at} < closing_at)
"""
_COUNTS = """
    {at} > last_activity_at
    AND (
        {extends} OR activity_extends_in_warning
        OR ({at} < last_activity_at + idle_limit - warn_limit AND {at} < hard_end_at - warn_limit)
    )
"""
# The order of assignments matters on MySQL, which lets later ones see earlier ones.
_SET_PAGE = f"""
    closing_at = CASE WHEN {_IS_LIVE} AND {{at}} > paged_at THEN NULL ELSE closing_at END,
    paged_at = CASE WHEN {_IS_LIVE} AND {{at}} > paged_at THEN {{at}} ELSE paged_at END,
"""
_SET_ACTIVITY = f"""
    previous_activity_at = last_activity_at,
    last_activity_at = CASE WHEN {_IS_LIVE} AND {_COUNTS} THEN {{at}} ELSE last_activity_at END
"""


def _assignments(at: str, extend: bool, page: bool) -> str:
    assignments = (_SET_PAGE if page else "") + _SET_ACTIVITY
    return assignments.format(at=at, extends="TRUE" if extend else "FALSE")


def touch_rows(connection: Connection, now: RawSQL, ages: Ages, extend: bool, page: bool) -> Rows:
    """Touch the rows; return the values of ``COLUMNS`` as they were, and now, for each row found."""
    can_return = connection.vendor in ("postgresql", "sqlite")
    touch = _update_returning if can_return else _select_then_update
    return touch(connection, now, ages, partial(_assignments, extend=extend, page=page))


def _update_returning(connection: Connection, now: RawSQL, ages: Ages, set_to: SetTo) -> Rows:
    values = ", ".join(["(%s, CAST(%s AS double precision))"] * len(ages))
    sql = f"""
        UPDATE {_TABLE} SET {set_to("touches.at")}
        FROM (
            SELECT column1 AS touched_sid, {now.sql} - column2 AS at
            FROM (VALUES {values}) AS given {_in_one_order(connection, ages)}
        ) AS touches
        WHERE sid = touches.touched_sid
        RETURNING {_BEFORE}, CAST({now.sql} AS double precision)
    """  # noqa: S608  # every value is a parameter
    clock = list(now.params)
    params = [*clock, *(value for pair in ages for value in pair), *clock]
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def _in_one_order(connection: Connection, ages: Ages) -> str:
    """Have PostgreSQL lock the rows by sid; else two processes' batches could wait for each other."""
    if connection.vendor != "postgresql" or len(ages) < 2:
        return ""
    return f"JOIN {_TABLE} AS held ON sid = column1 ORDER BY sid FOR NO KEY UPDATE OF held"


def _select_then_update(connection: Connection, now: RawSQL, ages: Ages, set_to: SetTo) -> Rows:
    sids = [sid for sid, _ in ages]
    where = f"WHERE sid IN ({', '.join(['%s'] * len(sids))})"
    select = f"SELECT {', '.join(COLUMNS)}, {now.sql} FROM {_TABLE} {where} FOR UPDATE"  # noqa: S608
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute(select, [*now.params, *sids])
        before = list(cursor.fetchall())
        if before:
            # The time that was told is the one to go by: a second look at the clock would say another.
            at = "(%s - CASE sid " + "WHEN %s THEN %s " * len(ages) + "END)"
            one_at = [float(before[0][-1]), *(value for pair in ages for value in pair)]
            assignments = set_to(at)
            update = f"UPDATE {_TABLE} SET {assignments} {where}"  # noqa: S608
            cursor.execute(update, [*(one_at * assignments.count(at)), *sids])
        return before
