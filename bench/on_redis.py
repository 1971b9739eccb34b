"""A Redis of the benchmark's own, and this process's store in it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.test import override_settings

from tests.redis_server import RedisServer, redis_server


@contextmanager
def on_redis() -> Iterator[RedisServer]:
    """Start it, and put the sessions that this process begins there."""
    with redis_server() as redis:
        store = {
            "BACKEND": "realtime_session.stores.redis.RedisStore",
            "OPTIONS": {"url": redis.url},
        }
        with override_settings(REALTIME_SESSION={"STORE": store}):
            yield redis
