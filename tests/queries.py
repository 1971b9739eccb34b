"""What is asked of the database on connections that are opened within a block, on whatever thread."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.signals import connection_created


@contextmanager
def queries_of_new_connections() -> Iterator[list[str]]:
    asked: list[str] = []

    def note(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        asked.append(sql)
        return execute(sql, *arguments)

    def watch(connection: Any, **arguments: Any) -> None:
        connection.execute_wrappers.append(note)

    connection_created.connect(watch)
    yield asked
    connection_created.disconnect(watch)


def count(asked: list[str], start: str, table: str) -> int:
    """How many statements begin with ``start`` and name the table."""
    return sum(sql.lstrip().startswith(start) and f'"{table}"' in sql for sql in asked)
