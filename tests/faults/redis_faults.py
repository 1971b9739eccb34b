"""What can happen to a Redis server, as one coroutine each, which lasts for as long as the fault does."""

import asyncio
from contextlib import suppress
from typing import Any

import redis.asyncio

from tests.redis_server import RedisServer

OUTAGE = 1.5
"""Seconds."""
OPTIONS = ("--enable-debug-command", "yes")
PERSISTENT = ("--appendonly", "yes", "--appendfsync", "everysec")
FAILOVER = 20.0
"""Seconds that Sentinels may take to agree."""
NOWHERE = ("127.0.0.1", "1")


async def ask(server: RedisServer, *words: Any) -> Any:
    """Send a command on a connection of its own, and wait for the answer as long as it takes."""
    async with redis.asyncio.Redis.from_url(server.url, protocol=2, socket_timeout=60) as client:
        return await client.execute_command(*words)


async def restart(server: RedisServer) -> None:
    """It keeps what it was started to keep."""
    server.stop()
    await asyncio.sleep(OUTAGE)
    await asyncio.to_thread(server.start)


async def empty(server: RedisServer) -> None:
    """The same, where it was started to keep nothing."""
    await restart(server)


async def flush_all(server: RedisServer) -> None:
    await ask(server, "FLUSHALL")


async def flush_scripts(server: RedisServer) -> None:
    await ask(server, "SCRIPT", "FLUSH")


async def sleep(server: RedisServer) -> None:
    await ask(server, "DEBUG", "SLEEP", "5")


async def pause(server: RedisServer) -> None:
    await ask(server, "CLIENT", "PAUSE", "5000", "ALL")
    await asyncio.sleep(5)


async def kill_clients(server: RedisServer) -> None:
    """Three times: those that came back, too."""
    for _ in range(3):
        for kind in ("normal", "pubsub"):
            await ask(server, "CLIENT", "KILL", "TYPE", kind)
        await asyncio.sleep(0.3)


async def fill_memory(server: RedisServer) -> None:
    await ask(server, "CONFIG", "SET", "maxmemory-policy", "noeviction")
    await ask(server, "CONFIG", "SET", "maxmemory", "1")
    await asyncio.sleep(2 * OUTAGE)
    await ask(server, "CONFIG", "SET", "maxmemory", "0")


async def demote(server: RedisServer) -> None:
    """It is a replica, of a master that is not there, and read-only."""
    await ask(server, "REPLICAOF", *NOWHERE)
    await asyncio.sleep(2 * OUTAGE)
    await ask(server, "REPLICAOF", "NO", "ONE")


async def until_master(server: RedisServer) -> None:
    for _ in range(round(FAILOVER * 10)):
        # A Sentinel that promotes a server disconnects its clients.
        with suppress(redis.exceptions.ConnectionError):
            if (await ask(server, "ROLE"))[0] == b"master":
                return
        await asyncio.sleep(0.1)
    raise TimeoutError("there was no failover")
