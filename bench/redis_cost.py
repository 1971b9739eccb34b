"""What Redis has to do for a write of activity, by the CPU time that it says it used."""

import asyncio
import secrets
from dataclasses import dataclass, field

from realtime_session.policy import Policy, Record
from realtime_session.stores.redis import RedisStore
from tests.redis_server import RedisServer, redis_server

TYPED = 60
"""Messages of a session that one write stands for: some 15 s of steady typing, or a fast burst of it."""
SIZES = 1, 60, 500
"""Sessions in a write."""
TURNS = 6
CALLS = {1: 1500, 60: 100, 500: 20}
IDLE_FOR = 1.0


@dataclass(frozen=True, slots=True)
class RedisCost:
    """CPU seconds of Redis for each session in a write, by how many sessions are written at once."""

    per_session: dict[int, list[float]] = field(default_factory=lambda: {n: [] for n in SIZES})

    @property
    def per_message(self) -> list[float]:
        """The same for each of ``TYPED`` messages of one session that are written at once."""
        return [seconds / TYPED for seconds in self.per_session[1]]


async def redis_cost() -> RedisCost:
    """Write one call after the other, as a hub does, less what Redis uses when nobody asks for anything."""
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
                for size, samples in cost.per_session.items():
                    samples.append(await _write(redis, store, sids[:size], idle))
        finally:
            await store.astop()
    return cost


async def _write(redis: RedisServer, store: RedisStore, sids: list[str], idle: float) -> float:
    loop = asyncio.get_running_loop()
    calls = CALLS[len(sids)]
    cpu, began = redis.cpu, loop.time()
    for _ in range(calls):
        await store.atouch(dict.fromkeys(sids, 0.0))
    used = redis.cpu - cpu - idle * (loop.time() - began)
    return used / calls / len(sids)


async def _idle(redis: RedisServer) -> float:
    """Return how many CPU seconds it uses in a second, to keep time and to answer this question."""
    cpu = redis.cpu
    await asyncio.sleep(IDLE_FOR)
    return (redis.cpu - cpu) / IDLE_FOR
