"""What Redis has to do for a write of activity, by the CPU time that it says it used."""

import asyncio
import secrets
import subprocess
from dataclasses import dataclass, field

from realtime_session.policy import Policy, Record
from realtime_session.stores.redis import RedisStore
from realtime_session.stores.redis.data import Data
from realtime_session.stores.redis.scripts import Script
from tests.redis_server import RedisServer, redis_server

TYPED = 60
"""Messages of a session that one write stands for: some 15 s of steady typing, or a fast burst of it."""
CLIENTS = 50
"""Processes that write at once, each for a session of theirs: what keeps Redis busy."""
CALLS = 20_000
SIZES = 1, 60, 500
"""Sessions in a write, where one process writes."""
WRITES = {1: 1500, 60: 100, 500: 20}
TURNS = 6
IDLE_FOR = 1.0


@dataclass(frozen=True, slots=True)
class RedisCost:
    """CPU seconds of Redis for each session in a write.

    ``busy``: of one session each, where Redis has always something to do. ``alone``: of so many sessions,
    where it is woken up for each write.
    """

    busy: list[float] = field(default_factory=list)
    alone: dict[int, list[float]] = field(default_factory=lambda: {size: [] for size in SIZES})

    @property
    def per_message(self) -> list[float]:
        """The same for each of ``TYPED`` messages of one session that are written at once, when busy."""
        return [seconds / TYPED for seconds in self.busy]


async def redis_cost() -> RedisCost:
    """Write as hubs do, less what Redis uses when nobody asks for anything."""
    cost = RedisCost()
    with redis_server() as redis:
        store = RedisStore(redis.url)
        store.start()
        try:
            sids = [secrets.token_hex(16) for _ in range(max(SIZES))]
            for sid in sids:
                await store.aopen(Record(sid, "1", 0.0, 0.0, policy=Policy()), as_of=0.0)
            idle = await _idle(redis)
            for _ in range(TURNS):
                for size, samples in cost.alone.items():
                    samples.append(await _write(redis, store, sids[:size], idle))
                cost.busy.append(await asyncio.to_thread(_keep_busy, redis, sids[0]))
        finally:
            await store.astop()
    return cost


async def _write(redis: RedisServer, store: RedisStore, sids: list[str], idle: float) -> float:
    loop = asyncio.get_running_loop()
    writes = WRITES[len(sids)]
    cpu, began = redis.cpu, loop.time()
    for _ in range(writes):
        await store.atouch(dict.fromkeys(sids, 0.0))
    used = redis.cpu - cpu - idle * (loop.time() - began)
    return used / writes / len(sids)


def _keep_busy(redis: RedisServer, sid: str) -> float:
    """Have Redis' own benchmark send what the store sent for a session: now, as mere activity, 0 s old."""
    call = Data("realtime-session", None).call(Script("touch"), [sid], args=["", "", "", "0.0"])
    command = ["redis-benchmark", "-p", str(redis.port), "-c", str(CLIENTS), "-n", str(CALLS), "-q"]
    cpu = redis.cpu
    subprocess.run([*command, *map(str, call.command)], check=True, stdout=subprocess.DEVNULL)
    return (redis.cpu - cpu) / CALLS


async def _idle(redis: RedisServer) -> float:
    """Return how many CPU seconds it uses in a second, to keep time and to answer this question."""
    cpu = redis.cpu
    await asyncio.sleep(IDLE_FOR)
    return (redis.cpu - cpu) / IDLE_FOR
