"""How sessions end in the ORM store's table: one winner for each, and many in a few statements.

Who ends or claims rows marks them with a token of its own in the same UPDATE that finds them unmarked, and
reads back what has the token: no database needs to say which rows an UPDATE changed.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from django.db import connections
from django.db.models import Case, CharField, F, Q, QuerySet, Value, When
from django.db.models.expressions import RawSQL
from django.db.models.functions import Greatest
from django.db.models.lookups import LessThanOrEqual

from ..models import MonitoredSession
from ..policy import EndReason, Record

_CHUNK = 500
_TABLE = MonitoredSession._meta.db_table
_IN_ONE_ORDER = f"SELECT sid FROM {_TABLE} WHERE sid = ANY(%s) ORDER BY sid FOR NO KEY UPDATE"  # noqa: S608

Rows = QuerySet[MonitoredSession]
Read = Callable[[Rows], list[Record]]


class Ends:
    """The part of the contract that is about ends, on one database, at ``now`` by the store's clock."""

    def __init__(self, using: str, now: RawSQL, read: Read) -> None:
        self._using = using
        self._now = now
        self._read = read

    def end(self, sids: Iterable[str], reason: EndReason) -> list[Record]:
        """End the sessions that are live; return those that this call ended."""
        return self._end(sids, Q(), Value(reason.value))

    def end_due(self, sids: Iterable[str]) -> list[Record]:
        """See ``BaseStore.end_due``."""
        idle_end_at = F("last_activity_at") + F("idle_limit")
        closes_first = Q(closing_at__lte=self._now) & Q(closing_at__lte=idle_end_at)
        reason = Case(
            When(closes_first & Q(closing_at__lte=F("hard_end_at")), then=Value("closed")),
            When(hard_end_at__gt=idle_end_at, then=Value("idle")),
            default=Value("absolute"),
            output_field=CharField(),
        )
        is_idle = Q(LessThanOrEqual(idle_end_at, self._now))
        due = is_idle | Q(hard_end_at__lte=self._now) | Q(closing_at__lte=self._now)
        return self._end(sids, due, reason)

    def _end(self, sids: Iterable[str], which: Q, reason: Any) -> list[Record]:
        # The process's clock was read before the row is: activity may have come in between.
        at = Greatest(self._now, F("last_activity_at"))
        ended: list[Record] = []
        for chunk in _chunks(sids):
            live = self._rows(chunk).filter(which, ended_at=None)
            token = _token()
            if live.update(
                end_reason=reason,
                due_after=None,
                ended_at=at,
                claimed_at=at,
                claimed_by=token,
            ):
                ended += self._marked(chunk, token)
        return ended

    def claim_unfinished(self, age: float, limit: int) -> list[Record]:
        """See ``BaseStore.claim_unfinished``."""
        lapsed = Q(claimed_at__lte=self._now - Value(age))
        found = self._rows().filter(lapsed).order_by("claimed_at")
        claimed: list[Record] = []
        for chunk in _chunks(found.values_list("sid", flat=True)[:limit]):
            token = _token()
            if self._rows(chunk).filter(lapsed).update(claimed_at=self._now, claimed_by=token):
                claimed += self._marked(chunk, token)
        return claimed

    def finish(self, sids: Iterable[str]) -> None:
        """See ``BaseStore.finish``."""
        for chunk in _chunks(sids):
            self._rows(chunk).filter(ended_at__isnull=False).update(finished=True, claimed_at=None)

    def _marked(self, sids: list[str], token: str) -> list[Record]:
        return self._read(self._rows().filter(sid__in=sids, claimed_by=token))

    def _rows(self, sids: list[str] | None = None) -> Rows:
        rows = MonitoredSession.objects.using(self._using)
        if sids is None:
            return rows.all()
        if len(sids) == 1 or connections[self._using].vendor != "postgresql":
            return rows.filter(sid__in=sids)
        # PostgreSQL locks rows in the order it meets them: two batches could wait for each other.
        return rows.filter(sid__in=RawSQL(_IN_ONE_ORDER, (sids,)))  # noqa: S611  # a constant


def _chunks(sids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(sorted(set(sids)))
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


def _token() -> str:
    return secrets.token_hex(16)
