"""A server process on a free port of 127.0.0.1, and what it uses."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

START_TIMEOUT = 20.0
STOP_TIMEOUT = 5.0


PROGRAMS = {
    "daphne": ["daphne", "-v", "0", "-b", "127.0.0.1", "-p"],
    "uvicorn": ["uvicorn", "--log-level", "warning", "--lifespan", "off", "--port"],
}


class Server:
    """Runs ``bench.project.asgi:<side>`` under a program for as long as the context lasts."""

    def __init__(self, side: str, program: str = "daphne", **environment: str) -> None:
        self.side = side
        self._program = program
        self.port = _free_port()
        self._environment = os.environ | environment

    def __enter__(self) -> Self:
        application = f"bench.project.asgi:{self.side}"
        command = [sys.executable, "-m", *PROGRAMS[self._program], str(self.port), application]
        self._process = subprocess.Popen(command, env=self._environment)
        give_up_at = time.monotonic() + START_TIMEOUT
        while not _listens(self.port):
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                self._stop()
                raise RuntimeError(f"{self._program} did not start for {self.side!r}")
            time.sleep(0.05)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    @property
    def memory(self) -> int:
        """The resident set in bytes."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def cpu(self) -> float:
        """CPU seconds used so far, by all threads."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
