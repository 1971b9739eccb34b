"""Counts this process's queries, by the table that each begins with."""

import re
from collections import Counter
from typing import Any

from django.db.backends.signals import connection_created

counts: Counter[str] = Counter()
_TABLE = re.compile(r'\bFROM "(\w+)"')


def watch() -> None:
    connection_created.connect(_wrap, weak=False)


def _wrap(connection: Any, **kwargs: Any) -> None:
    if _count not in connection.execute_wrappers:
        connection.execute_wrappers.append(_count)


def _count(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
    if found := _TABLE.search(str(sql)):
        counts[found[1]] += 1
    return execute(sql, params, many, context)
