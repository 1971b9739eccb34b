"""The tests' project on real servers, each in a process of its own on a free port of 127.0.0.1."""

import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

ROOT = Path(__file__).parent.parent
APPLICATION = "tests.project.asgi:application"
START_TIMEOUT = 60.0
COMMANDS = {
    "daphne": ["daphne", "-v", "0", "-b", "127.0.0.1", "-p", "{port}", APPLICATION],
    "uvicorn": ["uvicorn", "--log-level", "warning", "--port", "{port}", "--lifespan", "off", APPLICATION],
    # A worker of its own would outlive a hypercorn that is killed.
    "hypercorn": [
        "hypercorn", "--log-level", "warning", "--workers", "0", "-b", "127.0.0.1:{port}", APPLICATION,
    ],
    "granian": [
        "granian", "--interface", "asgi", "--no-access-log", "--log-level", "warning",
        "--port", "{port}", APPLICATION,
    ],
}  # fmt: skip
CREATE_USERS = """
from django.contrib.auth.models import User
for name in ("anna", "ben", "carla", "dora", "emil"):
    User.objects.filter(username=name).exists() or User.objects.create_user(name, password=name)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def prepare(scratch: Path, settings: str = "tests.settings", **more: str) -> None:
    """Make the database in ``scratch``, with its users."""
    environment = server_environment(scratch, {}) | {"DJANGO_SETTINGS_MODULE": settings} | more
    for arguments in (["migrate", "-v0", "--run-syncdb"], ["shell", "-v0", "-c", CREATE_USERS]):
        command = [sys.executable, "-m", "django", *arguments]
        subprocess.run(command, env=environment, cwd=ROOT, check=True)


def server_environment(scratch: Path, realtime_session: dict[str, Any]) -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": str(ROOT),
        "TESTS_SCRATCH": str(scratch),
        "TESTS_REALTIME_SESSION": json.dumps(realtime_session),
    }


def wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return once the server that was started accepts connections."""
    give_up_at = time.monotonic() + START_TIMEOUT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up_at, "the server did not start"
            time.sleep(0.05)


class Server:
    """One server process on the database in ``scratch``; its port stays the same through restarts."""

    def __init__(
        self,
        name: str,
        scratch: Path,
        realtime_session: dict[str, Any],
        options: tuple[str, ...] = (),
        **environment: str,
    ) -> None:
        self._scratch = scratch
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        self.log = scratch / f"{name}-{self.port}.log"
        self.engine = environment.get("TESTS_SESSION_ENGINE", "")
        *command, application = COMMANDS[name]
        self._command = [part.format(port=self.port) for part in (*command, *options, application)]
        self._environment = server_environment(scratch, realtime_session) | environment
        self._process: subprocess.Popen[bytes] | None = None
        self._browsers: list[Browser] = []

    def browser(self) -> "Browser":
        """A new browser that looks at this server."""
        self._browsers.append(Browser(self))
        return self._browsers[-1]

    def start(self, **environment: str) -> None:
        """Start the process, with what is new in its environment."""
        self._environment |= environment
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._command],
                env=self._environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                # Its workers are of its group: granian's would outlive it when it is killed.
                process_group=0,
            )
        wait_for(self._process, self.port, self.log)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal, and do not wait for what comes of it."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Stop the process, if it still runs; kill it with its workers; return its exit status."""
        if self._process is None:
            return None
        if number == signal.SIGKILL:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
        self._process.send_signal(number)
        status = self._process.wait(timeout=30)
        self._process = None
        return status

    def close(self) -> None:
        """Kill the process, if it still runs, and close the browsers."""
        self.stop(signal.SIGKILL)
        for browser in self._browsers:
            browser.http.close()

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Do to the database what another program could."""
        with closing(sqlite3.connect(self._scratch / "db.sqlite3", timeout=10)) as database:
            rows = database.execute(statement, values).fetchall()
            database.commit()
        return rows

    def inside(self) -> dict[str, Any]:
        """What the process holds: hubs, tabs, and the names of its own tasks and threads."""
        return dict(httpx.get(f"{self.url}/inside/", verify=False).json())


class Browser:
    """A cookie jar that signs in and opens sockets, as the tabs of one browser do."""

    def __init__(self, server: Server, tls: ssl.SSLContext | None = None) -> None:
        self.server = server
        self.tls = tls
        # Without TLS, reading the certificates of the world would take a tenth of a second each.
        self.http = httpx.Client(
            base_url=server.url, headers={"Referer": server.url}, verify=tls or False, timeout=30
        )

    def sign_in(self, name: str = "anna", **query: Any) -> "Browser":
        self.http.get("/login/")
        form = {"username": name, "password": name, "csrfmiddlewaretoken": self.token}
        assert self.http.post("/login/", data=form, params=query).status_code == 302
        return self

    @property
    def token(self) -> str:
        return self.http.cookies["csrftoken"]

    def post(self, path: str) -> httpx.Response:
        return self.http.post(path, headers={"X-CSRFToken": self.token})

    def tab(self, query: str = "", **options: Any) -> connect:
        """Open a socket: ``async with browser.tab() as tab``."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        return connect(
            f"{self.server.url.replace('http', 'ws', 1)}/ws/session/{query}",
            **{
                "ssl": self.tls,
                "origin": self.server.url,
                "subprotocols": ["realtime-session.v1"],
                "additional_headers": {"Cookie": cookies},
                "compression": None,
                **options,
            },
        )


async def hear(tab: ClientConnection) -> dict[str, Any]:
    """Return the next message of a tab's socket."""
    return dict(json.loads(await tab.recv()))


async def hear_only(tab: ClientConnection, type: str) -> dict[str, Any]:
    """Return the next message that is no call for the cookie to be renewed; it is of that type."""
    while (message := await hear(tab))["type"] == "refresh":
        pass
    assert message["type"] == type, message
    return message
