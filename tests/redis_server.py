"""A real Redis server, in a temporary directory and on a port of its own."""

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from tests.databases import program
from tests.servers import free_port

START_TIMEOUT = 30


class RedisServer:
    """Can be stopped and started again, on its port; what it held is gone unless ``options`` keep it.

    ``config`` is a configuration file, ``name`` is that of the program.
    """

    def __init__(
        self, directory: str, *options: str, name: str = "redis-server", config: Path | None = None
    ) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._directory = directory
        self._name = name
        self._options = options
        self._config = [str(config)] if config else []
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process is not None:
            return
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._directory]
        self._process = subprocess.Popen(
            [program(self._name), *self._config, *options, "--save", "", *self._options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        give_up_at = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"{self._name} did not start")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stops at once, as a machine that fails."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask(self, *words: str) -> Any:
        """Send a command, on a connection of its own, and return the answer."""
        with redis.Redis.from_url(self.url, protocol=2) as client:
            return client.execute_command(*words)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It keeps its connections, and does nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @property
    def cpu(self) -> float:
        """CPU seconds used so far, by all threads."""
        used = self.ask("INFO", "cpu")
        return float(used["used_cpu_user"] + used["used_cpu_sys"])

    @property
    def clients(self) -> int:
        """How many clients are connected, but for the one that asks."""
        return int(self.ask("INFO", "clients")["connected_clients"]) - 1

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
        except OSError:
            return False


@contextmanager
def redis_server(
    *options: str, name: str = "redis-server", config: Path | None = None
) -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory() as directory:
        server = RedisServer(directory, *options, name=name, config=config)
        server.start()
        try:
            yield server
        finally:
            server.stop()
