"""Sessions in Redis or Valkey: on one server, under Sentinel, or in a Cluster."""

try:
    import redis as _redis  # noqa: F401
except ImportError as error:
    raise ImportError(
        'the Redis store needs redis-py: pip install "django-realtime-session[redis]"'
    ) from error

from .store import RedisStore

__all__ = ["RedisStore"]
