"""Real Redis servers that work together: a master with its Sentinels, and a Cluster."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from tests.redis_server import START_TIMEOUT, RedisServer, redis_server
from tests.servers import free_port

SERVICE = "mymaster"
SLOTS = 16_384


class SentinelGroup:
    """A master, its replica, and three Sentinels that name another master when it is gone for a second."""

    def __init__(self, start: Callable[..., RedisServer]) -> None:
        self.master = start()
        self.replica = start("--replicaof", "127.0.0.1", str(self.master.port))
        self.sentinels = [self._start_sentinel(start) for _ in range(3)]
        wait_for(self._is_complete)

    @property
    def options(self) -> dict[str, Any]:
        """Those of the store."""
        addresses = [("127.0.0.1", sentinel.port) for sentinel in self.sentinels]
        return {"sentinels": addresses, "service_name": SERVICE}

    def _start_sentinel(self, start: Callable[..., RedisServer]) -> RedisServer:
        lines = [
            f"monitor {SERVICE} 127.0.0.1 {self.master.port} 2",
            f"down-after-milliseconds {SERVICE} 1000",
            f"failover-timeout {SERVICE} 5000",
        ]
        return start(sentinel=[f"sentinel {line}" for line in lines])

    def _is_complete(self) -> bool:
        for sentinel in self.sentinels:
            with redis.Redis(port=sentinel.port, decode_responses=True) as client:
                facts = client.sentinel_master(SERVICE)
            if facts["num-slaves"] != 1 or facts["num-other-sentinels"] != 2:
                return False
        return True


class Cluster:
    """Three masters that share the slots. None has a replica: what one held is gone with it."""

    def __init__(self, start: Callable[..., RedisServer]) -> None:
        options = "--cluster-enabled", "yes", "--cluster-node-timeout", "2000"
        self.buses = [free_port() for _ in range(3)]
        self.nodes = [
            start(*options, "--cluster-port", str(bus), "--cluster-config-file", f"nodes{bus}")
            for bus in self.buses
        ]
        self._meet()
        wait_for(self.is_complete)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", node.port) for node in self.nodes]

    def is_complete(self) -> bool:
        """Whether every node knows that all are there."""
        return all("cluster_state:ok" in facts for facts in self._infos())

    def node_of(self, slot: int) -> RedisServer:
        return self.nodes[slot // self._share]

    @property
    def _share(self) -> int:
        return -(-SLOTS // len(self.nodes))

    def _meet(self) -> None:
        for number, node in enumerate(self.nodes):
            first, last = number * self._share, min((number + 1) * self._share, SLOTS) - 1
            with redis.Redis(port=node.port) as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                for other, bus in zip(self.nodes[:number], self.buses, strict=False):
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port, bus)

    def _infos(self) -> Iterator[str]:
        for node in self.nodes:
            with redis.Redis(port=node.port) as client:
                yield str(client.execute_command("CLUSTER", "INFO"))


@contextmanager
def sentinel_group() -> Iterator[SentinelGroup]:
    with starter() as start:
        yield SentinelGroup(start)


@contextmanager
def cluster() -> Iterator[Cluster]:
    with starter() as start:
        yield Cluster(start)


@contextmanager
def starter() -> Iterator[Callable[..., RedisServer]]:
    """Starts servers that all end with it; ``sentinel`` are the lines of a Sentinel's configuration."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def start(*options: str, sentinel: list[str] | None = None) -> RedisServer:
            if sentinel is None:
                return stack.enter_context(redis_server(*options))
            # It keeps what it learns in its configuration.
            config = folder / f"{free_port()}.conf"
            config.write_text("\n".join([*sentinel, ""]))
            return stack.enter_context(redis_server("--sentinel", config=config))

        yield start


def wait_for(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + START_TIMEOUT
    while not condition():
        if time.monotonic() > give_up_at:
            raise TimeoutError("the Redis servers do not find each other")
        time.sleep(0.05)
