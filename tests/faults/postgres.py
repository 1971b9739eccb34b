"""A PostgreSQL server that a test can restart."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.databases import (
    Databases,
    create_postgres_database,
    databases,
    run_as,
    running,
    wait_for,
    workspace,
)


class Postgres:
    """``databases`` are Django's DATABASES for it."""

    def __init__(self, stack: ExitStack) -> None:
        self._directory, self._account = stack.enter_context(workspace())
        data = self._directory / "data"
        run_as(self._account, "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")
        self._command: list[Any] = [
            "postgres",
            "-D",
            data,
            "-k",
            self._directory,
            "-c",
            "listen_addresses=",
        ]
        self._running = ExitStack()
        self.databases: Databases = databases("postgresql", str(self._directory), USER="postgres")

    def start(self) -> None:
        # SIGINT disconnects its clients.
        process = self._running.enter_context(
            running(self._account, self._directory, self._command, stop=signal.SIGINT)
        )
        wait_for(process, answers, self._directory)

    def stop(self) -> None:
        self._running.close()


def answers(address: Path) -> None:
    with psycopg.connect(host=str(address), user="postgres", dbname="postgres"):
        pass


@contextmanager
def postgres() -> Iterator[Postgres]:
    with ExitStack() as stack:
        server = Postgres(stack)
        server.start()
        create_postgres_database(server._directory)
        try:
            yield server
        finally:
            server.stop()
