"""A PostgreSQL server that a test can restart."""

import os
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
from tests.system import faketime


class Postgres:
    """``databases`` are Django's DATABASES for it; its clock is off by what ``set_clock`` said last."""

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
        self._clock = self._directory / "clock"
        self.set_clock(0)
        self._environment = {
            **os.environ,
            **faketime(),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_NO_CACHE": "1",
        }
        self._running = ExitStack()
        self.databases: Databases = databases("postgresql", str(self._directory), USER="postgres")

    def start(self) -> None:
        # SIGINT disconnects its clients.
        process = self._running.enter_context(
            running(
                self._account | {"env": self._environment},
                self._directory,
                self._command,
                stop=signal.SIGINT,
            )
        )
        wait_for(process, answers, self._directory)

    def set_clock(self, ahead: float) -> None:
        self._clock.write_text(f"{ahead:+}\n")
        self._clock.chmod(0o644)

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
