import asyncio
import inspect
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.test import Client

from realtime_session import bus, hub
from realtime_session.looks import looks
from realtime_session.signals import session_ended
from tests.servers import Server, prepare

# A busy machine is no failure.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

PATIENCE = 5
"""Seconds that something which was told to end has to do so."""


def pytest_unconfigure() -> None:
    shutil.rmtree(settings.SCRATCH, ignore_errors=True)


@pytest.fixture
def anna(transactional_db: None) -> AbstractUser:
    return get_user_model().objects.create_user("anna", password="anna")


@pytest.fixture
def ben(transactional_db: None) -> AbstractUser:
    return get_user_model().objects.create_user("ben", password="ben")


@pytest.fixture
def sign_in() -> Callable[[AbstractUser], Client]:
    """Signs somebody in, in a browser of their own."""

    def sign_in(user: AbstractUser) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def client(anna: AbstractUser, sign_in: Callable[[AbstractUser], Client]) -> Client:
    """Anna's browser, where she is signed in."""
    return sign_in(anna)


@pytest.fixture
def ends() -> Iterator[list[dict[str, Any]]]:
    """What ``session_ended`` said in this process, in order."""
    heard: list[dict[str, Any]] = []

    def receiver(sender: object, signal: object, **arguments: Any) -> None:
        heard.append(arguments)

    session_ended.connect(receiver)
    yield heard
    session_ended.disconnect(receiver)


@pytest.fixture(autouse=True)
def nothing_is_left_over(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test started is gone after it: nothing outlives its last tab."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("no_task_is_left_over")
    # What an earlier test left was its own failure, and is not to be that of all tests after it.
    before, threads_before = left_over(), threads()
    yield
    assert [each for each in left_over() if each not in before] == []
    give_up_at = time.monotonic() + PATIENCE
    while (new := set(threads()) - set(threads_before)) and time.monotonic() < give_up_at:
        time.sleep(0.01)
    assert not new


def left_over() -> list[object]:
    return [
        *hub._hubs.values(),
        *(listener for listener in bus._listeners if listener != looks.forget),
        *bus._relays,
    ]


@pytest.fixture
async def no_task_is_left_over() -> AsyncIterator[None]:
    yield
    if ending := tasks():
        await asyncio.wait(ending, timeout=PATIENCE)
    assert tasks() == []


def tasks() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("realtime-session")]


def threads() -> list[str]:
    return sorted(
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("realtime-session")
    )


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fresh database."""
    scratch = tmp_path_factory.mktemp("prepared")
    prepare(scratch)
    return scratch


@pytest.fixture
def start(prepared: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers on a database of the test's own."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    servers: list[Server] = []

    def start(
        name: str = "daphne",
        policy: dict[str, Any] | None = None,
        options: tuple[str, ...] = (),
        **environment: str,
    ) -> Server:
        server = Server(name, tmp_path, policy or {}, options, **environment)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.close()
