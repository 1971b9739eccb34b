"""Runs a section of docs/topologies.md: its commands and its nginx, on free ports and short deadlines."""

import os
import re
import signal
import ssl
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.project import ends
from tests.project.ends import End
from tests.servers import ROOT, START_TIMEOUT, Browser, free_port, server_environment, wait_for

from . import page
from .certificate import make_certificate
from .nginx import Nginx

Started = tuple[subprocess.Popen[bytes], int, Path]
PORT = re.compile(r"\b(443|6379|80\d\d)\b")


class Entrance:
    """An address at which browsers find the project."""

    def __init__(self, port: int, tls: ssl.SSLContext | None) -> None:
        self.tls = tls
        self.host = f"127.0.0.1:{port}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"


class Topology:
    """Starts what it is told to, once, until it is closed."""

    def __init__(self, title: str, scratch: Path, *, settings: str = "") -> None:
        self.scratch = scratch
        self._title = title
        self.settings = settings
        self._ports: dict[str, int] = {}
        self._running = ExitStack()
        self.entrances: list[Entrance] = []

    def start(self, policy: dict[str, Any], commands: list[list[str]], redis: int | None) -> None:
        """Start all that the section names; ``redis`` is the port of a server, if there is one."""
        self.has_nudges = redis is not None
        if redis is not None:
            self._ports["6379"] = redis
        environment = server_environment(self.scratch, policy) | self._more_settings(
            redis is not None
        )
        started = [self._run(command, environment) for command in commands]
        for process, port, log in started:
            wait_for(process, port, log)
            self.entrances.append(Entrance(port, None))
        for entrance in self.entrances:
            # Some listen before they have loaded the project.
            httpx.get(f"{entrance.url}/login/", timeout=START_TIMEOUT)
        nginx = page.block(self._title, "nginx")
        if nginx:
            self.entrances = [self.proxy(nginx)]

    def proxy(self, http: str) -> Entrance:
        """Start an nginx in front, with a certificate of its own."""
        port = self._port("443")
        certificate, key = self.scratch / "mysite.pem", self.scratch / "mysite.key"
        tls = make_certificate(certificate, key)
        http = self._on_free_ports(http.replace("listen 443", "listen 127.0.0.1:443"))
        http = http.replace("/etc/ssl/mysite", str(certificate.with_suffix("")))
        del self._ports["443"]  # the next one gets another
        nginx = Nginx(self.scratch / f"nginx-{port}", http, port)
        self._running.callback(nginx.close)
        return Entrance(port, tls)

    def browser(self, entrance: Entrance, same_as: Browser | None = None) -> Browser:
        """A browser at an entrance: a new one, or one with the cookies of another."""
        browser = Browser(entrance, entrance.tls)
        if same_as is not None:
            browser.http.cookies = same_as.http.cookies
        self._running.callback(browser.http.close)
        return browser

    def ends(self) -> list[End]:
        """What the processes together signalled as ended."""
        return ends.read(self.scratch)

    def close(self) -> None:
        self._running.close()

    def _more_settings(self, with_redis: bool) -> dict[str, str]:
        blocks = [page.block(page.REDIS, "python")] if with_redis else []
        own = page.block(self._title, "python")
        text = "\n".join([*blocks, own, self.settings])
        file = self.scratch / "more_settings.py"
        file.write_text(self._on_free_ports(text))
        return {"TESTS_MORE_SETTINGS": str(file)}

    def _on_free_ports(self, text: str) -> str:
        return PORT.sub(lambda found: str(self._port(found[0])), text)

    def _port(self, written: str) -> int:
        if written not in self._ports:
            self._ports[written] = free_port()
        return self._ports[written]

    def _run(self, command: list[str], environment: dict[str, str]) -> Started:
        line = self._on_free_ports(" ".join(command)).replace("mysite", "tests.project")
        [port] = PORT.findall(" ".join(command))
        log = self.scratch / f"{command[0]}-{self._port(port)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *line.split()],
                env=environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Its workers are of its group, which ends with it.
                process_group=0,
            )
        self._running.callback(stop, process)
        return process, self._port(port), log


def stop(process: subprocess.Popen[bytes]) -> None:
    """As a service manager does: with a word first, and by force in the end."""
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
