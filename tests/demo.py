"""Runs the demo site as its visitors do: by its own command, in a process of its own."""

import os
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
