"""The site as a real server: daphne in a process of its own, which can be stopped, killed and silenced."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DAPHNE = [sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1"]
START_TIMEOUT = 30
CREATE_USERS = """
from django.contrib.auth.models import User
for name in ("anna", "ben"):
    User.objects.create_user(name, password=name)
"""


def environment(directory: Path, **variables: str) -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.browser.site.settings",
        "PYTHONPATH": str(ROOT),
        "SITE_VAR": str(directory),
        "SITE_REALTIME_SESSION": "{}",
        **variables,
    }


def manage(directory: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "django", *arguments]
    subprocess.run(command, env=environment(directory), check=True, stdout=subprocess.DEVNULL)


def prepare(directory: Path) -> None:
    """Makes what every server starts from: a database with users, and collected static files."""
    manage(directory, "migrate", "--verbosity=0")
    manage(directory, "shell", "--verbosity=0", "--command", CREATE_USERS)
    manage(directory, "collectstatic", "--verbosity=0", "--no-input")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Server:
    """One site under one policy. The address stays the same through restarts, and so does the database."""

    def __init__(
        self, prepared: Path, directory: Path, policy: dict[str, object], **variables: str
    ) -> None:
        shutil.copytree(prepared, directory, dirs_exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = environment(
            directory, SITE_REALTIME_SESSION=json.dumps(policy), **variables
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [*DAPHNE, "-p", str(self.port), "tests.browser.site.asgi:application"],
            env=self._environment,
            cwd=ROOT,
        )
        give_up_at = time.monotonic() + START_TIMEOUT
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                assert self._process.poll() is None, "the server ended"
                assert time.monotonic() < give_up_at, "the server did not start"
                time.sleep(0.05)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def silence(self) -> None:
        """Its connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def unsilence(self) -> None:
        self._signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._signal(number)
            self._process.wait()
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
