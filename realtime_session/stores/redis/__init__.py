"""Sessions in Redis or Valkey: on one server, under Sentinel, or in a Cluster."""

from .store import RedisStore

__all__ = ["RedisStore"]
