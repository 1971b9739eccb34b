"""The Redis store's OPTIONS, and the redis-py clients that they ask for. Nothing here connects."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import redis
import redis.asyncio
from redis.asyncio.cluster import ClusterNode as AsyncClusterNode
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

Address = tuple[str, int]
HEALTH_CHECK = 30


@dataclass(frozen=True)
class Options:
    """Where Redis is: exactly one of ``url``, ``sentinels`` and ``startup_nodes`` says so.

    ``url`` is one that redis-py takes; with ``cluster`` the server there is a node of a Cluster.
    ``sentinels`` are the addresses of Sentinels, which name the master of ``service_name``;
    ``sentinel_kwargs`` are redis-py's arguments for connections to them. ``startup_nodes`` are addresses of
    nodes of a Cluster. ``connection`` holds redis-py's arguments for connections to the data, such as
    ``username``, ``password``, ``db`` and ``ssl``. ``timeout`` is how many seconds each of these may take: to
    connect, to be answered, and to get one of the ``max_connections`` that the process may have, and each
    event loop besides.

    Raises TypeError or ValueError, naming the option, for what no client could be made with.
    """

    url: str | None = None
    cluster: bool = False
    sentinels: Sequence[Address] = ()
    service_name: str | None = None
    sentinel_kwargs: Mapping[str, Any] = field(default_factory=dict)
    startup_nodes: Sequence[Address] = ()
    connection: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 2.0
    max_connections: int = 50

    def __post_init__(self) -> None:
        given = [name for name in ("url", "sentinels", "startup_nodes") if getattr(self, name)]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"one of url, sentinels and startup_nodes must be given, not {found}")
        if bool(self.sentinels) != bool(self.service_name):
            raise ValueError("sentinels and service_name go together")
        if not isinstance(self.timeout, int | float) or not self.timeout > 0:
            raise ValueError(f"timeout must be a positive number of seconds, not {self.timeout!r}")
        if not isinstance(self.max_connections, int) or self.max_connections < 1:
            raise ValueError(f"max_connections must be at least 1, not {self.max_connections!r}")
        for name in ("sentinels", "startup_nodes"):
            for address in getattr(self, name):
                if not _is_address(address):
                    raise TypeError(f"{name} must be pairs of host and port, not {address!r}")
        self._check_connection()

    def _check_connection(self) -> None:
        arguments = self._arguments(Retry)
        if self.url:
            redis.ConnectionPool.from_url(self.url, **arguments).make_connection()
        else:
            kind = redis.SSLConnection if arguments.pop("ssl", False) else redis.Connection
            kind(**arguments)

    @property
    def is_cluster(self) -> bool:
        """Whether the keys are spread over several nodes."""
        return self.cluster or bool(self.startup_nodes)

    def sync_client(self, on_connect: Callable[[Any], None]) -> Any:
        """Return a client for threads; ``on_connect`` has to greet the server on each new connection."""
        arguments = self._arguments(Retry) | {"redis_connect_func": on_connect}
        if self.is_cluster:
            arguments |= self._cluster_arguments(Retry)
            if self.url:
                return RedisCluster.from_url(self.url, **arguments)
            nodes = [ClusterNode(*address) for address in self.startup_nodes]
            return RedisCluster(startup_nodes=nodes, **arguments)
        arguments["max_connections"] = self.max_connections
        if self.url:
            return redis.Redis.from_pool(redis.ConnectionPool.from_url(self.url, **arguments))
        sentinel: Any = Sentinel(self.sentinels, sentinel_kwargs=self._sentinel_arguments(Retry))
        return sentinel.master_for(self.service_name, **arguments)

    def async_client(self, on_connect: Callable[[Any], Any]) -> tuple[Any, list[Any]]:
        """Return a client for the running event loop, and all that is to be closed in the end."""
        arguments = self._arguments(AsyncRetry)
        if self.is_cluster:
            arguments |= self._cluster_arguments(AsyncRetry)
            cluster: Any
            if self.url:
                cluster = AsyncRedisCluster.from_url(self.url, **arguments)
            else:
                nodes = [AsyncClusterNode(*address) for address in self.startup_nodes]
                cluster = AsyncRedisCluster(startup_nodes=nodes, **arguments)
            # It takes no such argument, unlike all other clients.
            cluster.connection_kwargs["redis_connect_func"] = on_connect
            return cluster, [cluster]
        arguments |= {"redis_connect_func": on_connect, "max_connections": self.max_connections}
        if self.url:
            pool = redis.asyncio.ConnectionPool.from_url(self.url, **arguments)
            client: Any = redis.asyncio.Redis.from_pool(pool)
            return client, [client]
        sentinel: Any = AsyncSentinel(
            self.sentinels, sentinel_kwargs=self._sentinel_arguments(AsyncRetry)
        )
        client = sentinel.master_for(self.service_name, **arguments)
        return client, [client, *sentinel.sentinels]

    def _arguments(self, retry: type[Retry] | type[AsyncRetry]) -> dict[str, Any]:
        return {
            "socket_timeout": self.timeout,
            **({} if urlsplit(self.url or "").scheme == "unix" else self._network_arguments()),
            "health_check_interval": HEALTH_CHECK,
            "protocol": 2,
            # Whether to try again is decided where the answer is waited for.
            "retry": retry(NoBackoff(), 0),
            **self.connection,
        }

    def _cluster_arguments(self, retry: type[Retry] | type[AsyncRetry]) -> dict[str, Any]:
        return {
            # Again on another node, where the first one says that the slot has moved.
            "retry": retry(NoBackoff(), 1),
            "require_full_coverage": False,
            # It asks for its nodes beside what it is asked.
            "max_connections": 2 * self.max_connections,
        }

    def _network_arguments(self) -> dict[str, Any]:
        return {"socket_connect_timeout": self.timeout, "socket_keepalive": True}

    def _sentinel_arguments(self, retry: type[Retry] | type[AsyncRetry]) -> dict[str, Any]:
        # They are asked in turn, all within the timeout.
        each = self.timeout / len(self.sentinels)
        return {
            "socket_timeout": each,
            "socket_connect_timeout": each,
            "protocol": 2,
            "retry": retry(NoBackoff(), 0),
            **self.sentinel_kwargs,
        }


def _is_address(address: object) -> bool:
    return (
        isinstance(address, list | tuple)
        and len(address) == 2
        and isinstance(address[0], str)
        and isinstance(address[1], int)
    )
