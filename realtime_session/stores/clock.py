"""The ORM store's clock: the database's own where it is shared, the process's with SQLite."""

import time
from collections.abc import Callable

from django.db import connections
from django.db.models import FloatField
from django.db.models.expressions import RawSQL

_NOW_SQL = {
    "postgresql": "EXTRACT(EPOCH FROM statement_timestamp())::double precision",
    # Not UNIX_TIMESTAMP(NOW(6)): it is ambiguous when the server's zone leaves daylight saving time.
    "mysql": "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1e6",
}


class DatabaseClock:
    """Epoch seconds in SQL and in Python; ``clock`` replaces them, for tests."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock

    def expression(self, alias: str) -> RawSQL:
        """Return now as an SQL expression, for the database with this alias."""
        vendor = connections[alias].vendor
        if self._clock is None and vendor in _NOW_SQL:
            return RawSQL(_NOW_SQL[vendor], (), output_field=FloatField())  # noqa: S611  # constants
        now = time.time() if self._clock is None else self._clock()
        cast = "CAST(%s AS double precision)" if vendor == "postgresql" else "(%s + 0.0)"
        return RawSQL(cast, (now,), output_field=FloatField())  # noqa: S611  # constants

    def now(self, alias: str) -> float:
        """Return now, asking the database if the clock is its own."""
        expression = self.expression(alias)
        if expression.params:
            return float(expression.params[0])
        with connections[alias].cursor() as cursor:
            cursor.execute(f"SELECT {expression.sql}")
            return float(cursor.fetchone()[0])
