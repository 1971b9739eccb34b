"""What Redis has to do for a write of activity, by the CPU time that it says it used."""

import asyncio
import secrets
from dataclasses import dataclass, field

from realtime_session.policy import Policy, Record
from realtime_session.stores.redis import RedisStore
from tests.redis_server import RedisServer, redis_server

TYPED = 60
"""Messages of a session that one write stands for: some 15 s of steady typing, or a fast burst of it."""
AT_ONCE = 16
"""Writes under way at a time where many processes write, each for a session."""
TURNS = 6
IDLE_FOR = 1.0


@dataclass(frozen=True, slots=True)
class Way:
    """How sessions are written: so many ``in_a_write``, and so many writes ``at_once``."""

    in_a_write: int
    at_once: int
    writes: int

    def __str__(self) -> str:
        sessions = "1 session" if self.in_a_write == 1 else f"{self.in_a_write} sessions"
        order = "one after the other" if self.at_once == 1 else f"{self.at_once} at a time"
        return f"{sessions} in a write, {order}"


MANY_PROCESSES = Way(1, AT_ONCE, 1600)
WAYS = MANY_PROCESSES, Way(1, 1, 1500), Way(60, 1, 100), Way(500, 1, 20)


@dataclass(frozen=True, slots=True)
class RedisCost:
    """CPU seconds of Redis for each session in a write, by the way in which it is written."""

    per_session: dict[Way, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})

    @property
    def per_message(self) -> list[float]:
        """The same for each of ``TYPED`` messages of one session that are written at once."""
        return [seconds / TYPED for seconds in self.per_session[MANY_PROCESSES]]


async def redis_cost() -> RedisCost:
    """Write as hubs do, less what Redis uses when nobody asks for anything."""
    cost = RedisCost()
    with redis_server() as redis:
        store = RedisStore(redis.url)
        store.start()
        try:
            sids = [secrets.token_hex(16) for _ in range(max(way.in_a_write for way in WAYS))]
            for sid in sids:
                await store.aopen(Record(sid, "1", 0.0, 0.0, policy=Policy()), as_of=0.0)
            idle = await _idle(redis)
            for _ in range(TURNS):
                for way, samples in cost.per_session.items():
                    samples.append(await _write(redis, store, sids, way, idle))
        finally:
            await store.astop()
    return cost


async def _write(
    redis: RedisServer, store: RedisStore, sids: list[str], way: Way, idle: float
) -> float:
    loop = asyncio.get_running_loop()

    async def write_as(process: int) -> None:
        start = process * way.in_a_write
        activity = dict.fromkeys(sids[start : start + way.in_a_write], 0.0)
        for _ in range(way.writes // way.at_once):
            await store.atouch(activity)

    cpu, began = redis.cpu, loop.time()
    await asyncio.gather(*map(write_as, range(way.at_once)))
    used = redis.cpu - cpu - idle * (loop.time() - began)
    return used / way.writes / way.in_a_write


async def _idle(redis: RedisServer) -> float:
    """Return how many CPU seconds it uses in a second, to keep time and to answer this question."""
    cpu = redis.cpu
    await asyncio.sleep(IDLE_FOR)
    return (redis.cpu - cpu) / IDLE_FOR
