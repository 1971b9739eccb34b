"""Which processes hold tabs of which sessions, in the ORM store's tables."""

from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from ..models import MonitoredSession, TabPresence
from .rows import COLUMNS, to_columns, to_record

_CHUNK = 500


class Presences:
    """The presence part of the contract, on one database, at the time ``now`` of the store's clock."""

    def __init__(self, using: str, now: float) -> None:
        self._presences = TabPresence.objects.using(using)
        self._rows = MonitoredSession.objects.using(using)
        self._now = now

    def join(self, sid: str, process: str, lease: float) -> None:
        """See ``BaseStore.join``."""
        # The lease first: who leaves meanwhile must see it, or else see the join below.
        self._hold(sid, process, self._now + lease)
        still_open = Q(closing_at=None) | Q(closing_at__gt=self._now)
        live = self._rows.filter(still_open, sid=sid, ended_at=None)
        if not live.update(joined_at=self._now, closing_at=None):
            self._presences.filter(sid=sid, process=process).delete()

    def leave(self, sid: str, process: str) -> None:
        """See ``BaseStore.leave``."""
        self._drop(sid, self._presences.filter(sid=sid, process=process))

    def renew(self, sids: Iterable[str], process: str, lease: float) -> None:
        """See ``BaseStore.renew``."""
        held = list(sids)
        for start in range(0, len(held), _CHUNK):
            chunk = self._presences.filter(process=process, sid__in=held[start : start + _CHUNK])
            chunk.update(until=self._now + lease)

    def close_lapsed(self) -> None:
        """See ``BaseStore.close_lapsed``."""
        lapsed = self._presences.filter(until__lte=self._now)
        for sid in lapsed.values_list("sid", flat=True).distinct():
            self._drop(sid, lapsed.filter(sid=sid))

    def _hold(self, sid: str, process: str, until: float) -> None:
        # Not update_or_create, which reads first: SQLite fails at once where others wrote meanwhile.
        ours = self._presences.filter(sid=sid, process=process)
        if ours.update(until=until):
            return
        try:
            with transaction.atomic(using=self._presences.db):
                self._presences.create(sid=sid, process=process, until=until)
        except IntegrityError:
            ours.update(until=until)

    def _drop(self, sid: str, presences: "QuerySet[TabPresence]") -> None:
        live = self._rows.filter(sid=sid, ended_at=None)
        values = live.values_list(*COLUMNS).first()
        dropped, _ = presences.delete()
        if values is None or not dropped:
            return
        if self._presences.filter(sid=sid, until__gt=self._now).exists():
            return
        before = to_record(values)
        if before.ended_at is not None:
            return
        columns = to_columns(before.left(self._now))
        # Whoever joined after the row was read has moved ``joined_at``: then there is nothing to close.
        live.filter(joined_at__lte=before.joined_at).update(
            closing_at=columns["closing_at"], due_after=columns["due_after"]
        )
