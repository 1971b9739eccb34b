"""The stores that the contract suite runs against, each on the real thing it keeps its records in."""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from realtime_session.models import MonitoredSession, TabPresence
from realtime_session.stores.base import BaseStore
from realtime_session.stores.memory import MemoryStore
from realtime_session.stores.orm import ORMStore
from realtime_session.stores.redis import RedisStore
from tests.databases import Databases, mariadb_server, postgres_server
from tests.redis_groups import cluster, sentinel_group
from tests.redis_server import redis_server

Clock = Callable[[], float]


class Backend:
    """Makes stores, each empty at first. Without a ``clock`` a store has its own."""

    alias: str | None = None

    def make(self, clock: Clock | None = None) -> BaseStore:
        return MemoryStore(clock) if clock else MemoryStore()


class ORMBackend(Backend):
    def __init__(self, alias: str) -> None:
        self.alias = alias

    def make(self, clock: Clock | None = None) -> BaseStore:
        for model in (MonitoredSession, TabPresence):
            model.objects.using(self.alias).all().delete()
        return ORMStore(using=self.alias, clock=clock)


class RedisBackend(Backend):
    """Each store has keys of its own, on one server."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self._count = itertools.count()

    def make(self, clock: Clock | None = None) -> RedisStore:
        return RedisStore(prefix=f"store{next(self._count)}", clock=clock, **self.options)


@contextmanager
def memory() -> Iterator[Backend]:
    yield Backend()


@contextmanager
def sqlite(**options: Any) -> Iterator[ORMBackend]:
    with tempfile.TemporaryDirectory() as directory:
        config = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": Path(directory) / "db.sqlite3",
            "OPTIONS": {
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF",
                "timeout": 30,
                **options,
            },
        }
        with migrated("sqlite", {"default": config}) as backend:
            yield backend


@contextmanager
def postgres() -> Iterator[ORMBackend]:
    with postgres_server() as databases, migrated("postgres", databases) as backend:
        yield backend


@contextmanager
def mariadb() -> Iterator[ORMBackend]:
    with mariadb_server() as databases, migrated("mariadb", databases) as backend:
        yield backend


@contextmanager
def redis(name: str = "redis-server") -> Iterator[RedisBackend]:
    with redis_server(name=name) as server:
        yield RedisBackend(url=server.url)


@contextmanager
def redis_sentinel() -> Iterator[RedisBackend]:
    with sentinel_group() as group:
        yield RedisBackend(**group.options)


@contextmanager
def redis_cluster() -> Iterator[RedisBackend]:
    with cluster() as nodes:
        yield RedisBackend(startup_nodes=nodes.addresses)


# A new store is one line here.
BACKENDS: dict[str, Callable[[], AbstractContextManager[Backend]]] = {
    "memory": memory,
    "sqlite": sqlite,
    "postgres": postgres,
    "mariadb": mariadb,
    "redis": redis,
    "redis-sentinel": redis_sentinel,
    "redis-cluster": redis_cluster,
    "valkey": partial(redis, name="valkey-server"),
}


@contextmanager
def migrated(prefix: str, databases: Databases) -> Iterator[ORMBackend]:
    """Adds a database to Django's, under an alias of its own, with the store's table in it."""
    alias = next(f"{prefix}{n}" for n in range(100) if f"{prefix}{n}" not in connections.settings)
    connections.settings[alias] = connections.configure_settings(databases)["default"]
    try:
        call_command("migrate", "realtime_session", database=alias, verbosity=0)
        yield ORMBackend(alias)
    finally:
        close_for_good(alias)
        del connections[alias]
        del connections.settings[alias]


def close_for_good(alias: str) -> None:
    """Close this thread's connection; Django's own close leaves a database in memory open."""
    BaseDatabaseWrapper.close(connections[alias])
