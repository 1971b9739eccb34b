"""Programs that belong together: started together, started again if they die, ended in order."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

START_TIMEOUT = 30.0
STOP_TIMEOUT = 5.0
SHORT_LIFE = 2.0
"""Seconds: what ends sooner would only end again."""


class ClusterError(Exception):
    """Says in a line for people what cannot be started."""


@dataclass
class Part:
    """One program; it is up once ``address``, a path or a host with its port, takes connections."""

    name: str
    command: list[str]
    address: str | tuple[str, int]
    environment: Mapping[str, str] = field(default_factory=dict)
    is_quiet: bool = False


def find_program(name: str) -> str:
    """Return where a program is. An ordinary user's PATH may lack ``sbin``. Raises ClusterError."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise ClusterError(f"{name} is not installed: install it and try again.")
    return found


class Cluster:
    """Runs parts in the background until ``stop``; nothing of them is left after it."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[Part, subprocess.Popen[bytes], float]] = {}

    def start(self, *parts: Part) -> None:
        """Start parts and wait until all are up. Raises ClusterError."""
        for part in parts:
            if isinstance(part.address, str):
                Path(part.address).unlink(missing_ok=True)
            # Not of our group: Ctrl-C is for us alone, and we end them in order.
            process = subprocess.Popen(  # noqa: S603
                part.command,
                env={**os.environ, **part.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if part.is_quiet else None,
                process_group=0,
            )
            self._running[part.name] = part, process, time.monotonic()
        for part in parts:
            self._wait_for(part)

    def _wait_for(self, part: Part) -> None:
        _, process, began_at = self._running[part.name]
        while not _is_up(part.address):
            if process.poll() is not None or time.monotonic() > began_at + START_TIMEOUT:
                raise ClusterError(f"{part.name} did not start.")
            time.sleep(0.05)

    def watch(self) -> None:
        """Start again what ends by itself, for ever. Raises ClusterError where that is of no use."""
        while True:
            for part, process, began_at in list(self._running.values()):
                if process.poll() is None:
                    continue
                if time.monotonic() < began_at + SHORT_LIFE:
                    raise ClusterError(f"{part.name} ends as soon as it is started.")
                sys.stdout.write(f"{part.name}, process {process.pid}, ended: starting another.\n")
                sys.stdout.flush()
                self.start(part)
            time.sleep(0.1)

    def stop(self) -> None:
        """End the parts, the last one first; by force what does not listen."""
        while self._running:
            _, (_, process, _) = self._running.popitem()
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _is_up(address: str | tuple[str, int]) -> bool:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    if not isinstance(address, str) and ":" in address[0]:
        family = socket.AF_INET6
    with socket.socket(family) as probe:
        return probe.connect_ex(address) == 0
