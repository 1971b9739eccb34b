"""A real Redis, and links on it that stand for processes: each has an origin and a layer of its own."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from realtime_session import bus, channel_layer, courier, link, nudges, tasks
from realtime_session.link import Link
from tests.redis_server import RedisServer, redis_server
from tests.servers import ROOT

PATIENCE = 20
CORE = "channels_redis.core.RedisChannelLayer"
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"

origin: ContextVar[str] = ContextVar("origin", default="elsewhere")


class OwnLayers(dict[str, Any]):
    """The layers that links have of their own: by process, where the real one goes by loop."""

    def setdefault(self, loop: object, default: Any) -> Any:
        return super().setdefault(origin.get(), default)

    def pop(self, loop: object, default: Any) -> Any:
        return super().pop(origin.get(), default)


@pytest.fixture(scope="session")
def redis_program() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def redis(redis_program: RedisServer) -> RedisServer:
    """Runs and is empty, however the test before left it."""
    redis_program.start()
    redis_program.ask("FLUSHALL")
    return redis_program


@pytest.fixture(params=[CORE, PUBSUB], ids=["core", "pubsub"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def use_layer(backend: str, settings: Any, redis: RedisServer) -> Callable[..., None]:
    """Has the project use a Redis layer: takes what its CONFIG takes, and ``socket_timeout``."""

    def use_layer(socket_timeout: float | None = 5, **config: Any) -> None:
        host = {"address": redis.url, "socket_timeout": socket_timeout}
        settings.CHANNEL_LAYERS = {
            "default": {"BACKEND": backend, "CONFIG": {"hosts": [host], **config}}
        }

    return use_layer


@pytest.fixture
def layer(use_layer: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis layer, and as little waiting as possible."""
    use_layer()
    monkeypatch.setattr(tasks, "RESTART_IN", 0.05)
    monkeypatch.setattr(tasks, "RESTART_AT_MOST", 0.2)
    monkeypatch.setattr(link, "HEARTBEAT", 0.3)
    monkeypatch.setattr(link, "ECHO_TIMEOUT", 1.0)
    monkeypatch.setattr(link, "LOOKS_APART", 0.01)
    monkeypatch.setattr(courier, "LINGER", 0.1)
    # Tasks inherit the context, and with it the process that they belong to here.
    monkeypatch.setattr(nudges, "origin", origin.get)
    monkeypatch.setattr(link, "origin", origin.get)
    monkeypatch.setattr(channel_layer, "_own", OwnLayers())


def send_from_elsewhere(
    backend: str, redis: RedisServer, sids: Sequence[str], threads: int = 1
) -> float:
    """Have a process of its own send nudges, one a sid; return the seconds that the slowest took."""
    command = [sys.executable, "-m", "tests.bus.sender", backend, redis.url, str(threads), *sids]
    sent = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    assert sent.stderr == ""
    return float(sent.stdout)


def assert_disconnected(redis: RedisServer) -> None:
    """No client is left, once Redis has noticed that they went."""
    give_up_at = time.monotonic() + PATIENCE
    while redis.clients and time.monotonic() < give_up_at:
        time.sleep(0.01)
    assert redis.clients == 0


class Process:
    """A link, what it heard, and how often it may have missed something."""

    def __init__(self, name: str) -> None:
        self.heard: asyncio.Queue[list[str]] = asyncio.Queue()
        self.gaps: asyncio.Queue[int] = asyncio.Queue()
        self._context = copy_context()
        self._context.run(origin.set, name)
        self.link = Link(self.heard.put_nowait, lambda: self.gaps.put_nowait(1))

    async def start(self) -> None:
        self._context.run(self.link.start)
        await self.has_gap()

    async def stop(self) -> None:
        if self.link in bus._relays:
            await asyncio.create_task(self.link.stop(), context=self._context)

    async def hears(self) -> list[str]:
        return await asyncio.wait_for(self.heard.get(), PATIENCE)

    async def hears_all(self, sids: set[str]) -> None:
        missing = set(sids)
        while missing:
            missing -= set(await self.hears())

    async def has_gap(self) -> None:
        await asyncio.wait_for(self.gaps.get(), PATIENCE)

    def forget_gaps(self) -> None:
        while not self.gaps.empty():
            self.gaps.get_nowait()


Make = Callable[[str], Awaitable[Process]]


@pytest.fixture
async def make(layer: None) -> AsyncIterator[Make]:
    """Starts a process that has joined."""
    made = []

    async def make(name: str) -> Process:
        process = Process(name)
        made.append(process)
        await process.start()
        return process

    yield make
    for process in made:
        await process.stop()


@pytest.fixture
async def one(make: Make) -> Process:
    return await make("one")


@pytest.fixture
async def other(make: Make) -> Process:
    return await make("other")
