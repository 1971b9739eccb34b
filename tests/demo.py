"""Runs the demo site as its visitors do: by its own command, in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.servers import free_port

ROOT = Path(__file__).parent.parent
MANAGE = [sys.executable, ROOT / "demo_site/manage.py"]
START_TIMEOUT = 30


def environment(directory: Path, **variables: str) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DEMO_") and name not in ("HOST", "PORT", "DJANGO_SETTINGS_MODULE")
    }
    return {**inherited, "DEMO_DATABASE": str(directory / "demo.sqlite3"), **variables}


class Cluster:
    """The demo on Redis, under two servers, with nginx in front; ``stop`` is Ctrl-C."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        self.log = directory / "cluster.log"
        # To append: nginx opens it once more, and would be written over.
        with self.log.open("ab") as log:
            # A group of its own, as that of a command in a terminal.
            self._process = subprocess.Popen(
                [*MANAGE, "cluster"],
                env=environment(directory, PORT=str(self.port), **variables),
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def wait_until_announced(self) -> None:
        give_up_at = time.monotonic() + 2 * START_TIMEOUT
        while "The demo is at" not in self.log.read_text():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < give_up_at, "the cluster did not start"
            time.sleep(0.05)

    def children(self) -> dict[str, int]:
        """The processes of the parts that are up, each by its name."""
        children = [
            (int(pid), args)
            for ppid, pid, args in ps("ppid,pid,args")
            if ppid == str(self._process.pid)
        ]
        names = ("redis-server ", "daphne ", "uvicorn ", "nginx ")
        return {name[:-1]: pid for pid, args in children for name in names if name in args}

    def stop(self) -> int:
        """Answers the command's return code."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        return self._process.wait(START_TIMEOUT)


def ps(columns: str) -> list[list[str]]:
    """All processes, with these columns; the last one may hold spaces."""
    command = ["ps", "-A", "-ww", "-o", columns]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.split(None, columns.count(",")) for line in lines[1:]]


@contextmanager
def cluster(directory: Path, **variables: str) -> Iterator[Cluster]:
    running = Cluster(directory, **variables)
    try:
        running.wait_until_announced()
        yield running
    finally:
        running.stop()


@contextmanager
def demo(directory: Path, **variables: str) -> Iterator[httpx.Client]:
    port = free_port()
    with subprocess.Popen(
        [*MANAGE, "serve"],
        env=environment(directory, PORT=str(port), **variables),
        stdout=subprocess.DEVNULL,
    ) as server:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                wait_for(server, client)
                yield client
        finally:
            server.terminate()


def wait_for(server: subprocess.Popen[bytes], client: httpx.Client) -> None:
    give_up_at = time.monotonic() + START_TIMEOUT
    while True:
        try:
            client.get("/login/")
            return
        except httpx.ConnectError:
            assert server.poll() is None, "the demo ended"
            assert time.monotonic() < give_up_at, "the demo did not start"
            time.sleep(0.05)


def serve(directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """For a start that must fail."""
    return subprocess.run(
        [*MANAGE, "serve"],
        env=environment(directory, **variables),
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT,
    )
