"""Processes over one store, the people on them, and the verdict on what came of it all."""

import asyncio
import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.databases import Databases
from tests.faults import verdict
from tests.faults.crowd import Crowd, until
from tests.faults.verdict import Verdict
from tests.faults.waits import Waits
from tests.project import ends
from tests.servers import ROOT, Server, server_environment

logger = logging.getLogger(__name__)

SETTINGS = "tests.faults.site.settings"
LAYER = "channels_redis.core.RedisChannelLayer"
STORE = "realtime_session.stores.redis.RedisStore"
USUAL_START, USUAL_START_EACH = 1.0, 1.0
"""Seconds that servers take to start on a machine that has nothing else to do."""
MOST_SLOWNESS = 4.0


class Stage:
    """``settings`` are those of REALTIME_SESSION for all processes, ``environment`` is theirs as well.

    ``slowness`` says how many times longer than usual this machine takes to start servers, at least 1:
    timeouts are longer then, so that everybody can arrive. What may be late by how much stays the same.
    """

    def __init__(self, scratch: Path, report: Callable[[Verdict], None]) -> None:
        self.scratch = scratch
        self.settings: dict[str, Any] = {"SWEEP_INTERVAL": 0.5}
        self.environment = {"DJANGO_SETTINGS_MODULE": SETTINGS}
        self.servers: list[Server] = []
        self.slowness = 1.0
        self._report = report
        self._crowd: Crowd | None = None

    def use_redis(self, store: str, layer: str | None = None) -> None:
        """Keep records at one URL, and carry nudges by another, or the same."""
        # redis-py 8 gives up after five seconds, which is how long channels_redis waits.
        host = {"address": layer or store, "socket_timeout": None}
        self.environment["TESTS_LAYER"] = json.dumps(
            {"BACKEND": LAYER, "CONFIG": {"hosts": [host]}}
        )
        self.settings["STORE"] = {"BACKEND": STORE, "OPTIONS": {"url": store}}

    def use_databases(self, databases: Databases) -> None:
        """Keep everything in another database, an empty one."""
        self.environment["TESTS_DATABASES"] = json.dumps(databases)
        self.manage("migrate", "-v0", "--run-syncdb")

    async def start(
        self, *names: str, options: tuple[str, ...] = (), **environment: str
    ) -> list[Server]:
        """Start a process for each of the servers named, all at once."""
        variables = self.environment | environment
        started = [
            Server(name, self.scratch, self.settings, options, **variables) for name in names
        ]
        self.servers += started
        began = time.monotonic()
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in started))
        took = time.monotonic() - began
        usual = USUAL_START + USUAL_START_EACH * len(started)
        self.slowness = max(self.slowness, min(MOST_SLOWNESS, took / usual))
        logger.info("%d servers run, the machine is %.1f times slow", len(started), self.slowness)
        return started

    def crowd(self, pace: float = 1.0, ports: list[int] | None = None) -> Crowd:
        """A crowd before the processes started so far, or before what is between them and it."""
        waits = Waits(lambda: [server.pid for server in self.servers if server.is_running])
        self._crowd = Crowd(
            ports or [server.port for server in self.servers], pace, waits, self.slowness
        )
        return self._crowd

    async def log_in(self, count: int, idle: float, warn: float) -> list[Any]:
        """Log people in; return a sid and a session key for each. Their timeouts run from then.

        The timeouts are as many times longer as this machine is slower than usual.
        """
        times = (str(seconds * self.slowness) for seconds in (idle, warn))
        command = ["log_in", str(count), *times]
        return list(json.loads(await asyncio.to_thread(self.manage, *command)))

    def manage(self, *command: str) -> str:
        environment = server_environment(self.scratch, self.settings) | self.environment
        done = subprocess.run(
            [sys.executable, "-m", "django", *command],
            env=environment, cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def stop(self, server: Server, number: signal.Signals) -> None:
        await asyncio.to_thread(server.stop, number)

    async def restart(self, server: Server, number: signal.Signals = signal.SIGTERM) -> None:
        await self.stop(server, number)
        await asyncio.to_thread(server.start)

    def ends(self) -> list[ends.End]:
        return ends.read(self.scratch)

    async def until_signalled(self, patience: float) -> None:
        """Wait until every session that was to end has been signalled, or ``patience`` seconds."""
        assert self._crowd is not None
        sids = {person.sid for person in self._crowd.idle}
        await until(lambda: not sids - {end.sid for end in self.ends()}, patience)

    async def judge(
        self,
        fault: str,
        *,
        signals_within: float = 5.0,
        may_repeat: Collection[str] = (),
        late: float = verdict.LATE,
    ) -> Verdict:
        """Compare, send the crowd home, look what is left, and report. Fails if anything was found."""
        crowd = self._crowd
        assert crowd is not None
        logger.info("waiting for the last signals")
        await self.until_signalled(signals_within)
        found = verdict.judge(fault, crowd, self.ends(), may_repeat=may_repeat, late=late)
        alive = [server for server in self.servers if server.is_running]
        if alive:
            await verdict.ask_over_http(crowd, alive[0], found)
        await crowd.leave()
        await verdict.look_inside(alive, found)
        self._report(found)
        assert not found.findings, "\n".join(found.findings[:20])
        return found

    async def close(self) -> None:
        if self._crowd is not None:
            with suppress(Exception):
                await self._crowd.leave()
        for server in self.servers:
            server.close()
