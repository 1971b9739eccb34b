from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import redis

from realtime_session.stores.base import BaseStore
from tests.redis_server import RedisServer, redis_server

from .backends import BACKENDS, Backend
from .records import Clock

DATABASES = ("sqlite", "postgres", "mariadb")


@pytest.fixture(scope="session")
def start(django_db_setup, django_db_blocker) -> Iterator[Callable[[str], Backend]]:
    """Starts a backend when it is first wanted; all end with the session."""
    started: dict[str, Backend] = {}
    with ExitStack() as stack:

        def start(name: str) -> Backend:
            if name not in started:
                with django_db_blocker.unblock():
                    started[name] = stack.enter_context(BACKENDS[name]())
            return started[name]

        yield start


@pytest.fixture(params=BACKENDS)
def backend(request, start, django_db_blocker) -> Iterator[Backend]:
    with django_db_blocker.unblock():
        yield start(request.param)


@pytest.fixture(params=DATABASES)
def database(request, start, django_db_blocker) -> Iterator[Backend]:
    with django_db_blocker.unblock():
        yield start(request.param)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(backend: Backend, clock: Clock) -> BaseStore:
    """A store whose time passes when it is told to."""
    return backend.make(clock)


@pytest.fixture
def real_store(backend: Backend) -> BaseStore:
    """A store with its own clock."""
    return backend.make()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def admin(server: RedisServer) -> Iterator[redis.Redis]:
    """A client of its own of a Redis that is empty."""
    with redis.Redis(port=server.port, decode_responses=True) as admin:
        admin.flushall()
        # Those of earlier tests' stores.
        admin.client_kill_filter(_type="normal", skipme=True)
        yield admin
