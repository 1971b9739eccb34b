"""The site of these tests on daphne, which can be killed and silenced."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests import servers

SETTINGS = "tests.browser.site.settings"


def prepare(directory: Path) -> None:
    """Makes what every server starts from: a database with users, and collected static files."""
    servers.prepare(directory)
    subprocess.run(
        [sys.executable, "-m", "django", "collectstatic", "--verbosity=0", "--no-input"],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            "PYTHONPATH": str(servers.ROOT),
            "TESTS_SCRATCH": str(directory),
        },
        check=True,
    )


class Server(servers.Server):
    """One site under one policy, on a database of its own that outlives the process."""

    def __init__(
        self, prepared: Path, directory: Path, policy: dict[str, Any], **environment: str
    ) -> None:
        shutil.copytree(prepared, directory, dirs_exist_ok=True)
        self._database = directory / "db.sqlite3"
        super().__init__(
            "daphne", directory, policy, DJANGO_SETTINGS_MODULE=SETTINGS, **environment
        )

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def silence(self) -> None:
        """Its connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def unsilence(self) -> None:
        self._signal(signal.SIGCONT)

    @contextmanager
    def locked_database(self) -> Iterator[None]:
        """It can be read, and not written."""
        with closing(sqlite3.connect(self._database, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
