"""Nudges between processes, over a real Redis. Two links with two origins stand for two processes."""

import asyncio
import threading
from contextvars import ContextVar, copy_context

import pytest
from channels.layers import channel_layers

from realtime_session import bus, tasks
from realtime_session import link as link_module
from realtime_session.link import Link
from tests.redis_server import redis_server

PATIENCE = 10
CORE = "channels_redis.core.RedisChannelLayer"
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"

origin: ContextVar[str] = ContextVar("origin", default="elsewhere")


@pytest.fixture(scope="module")
def redis():
    with redis_server() as server:
        yield server


@pytest.fixture(params=[CORE, PUBSUB], ids=["core", "pubsub"])
def layer(request, settings, redis, monkeypatch):
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": request.param,
            # redis-py 8 gives up after five seconds, which is how long channels_redis waits.
            "CONFIG": {"hosts": [{"address": redis.url, "socket_timeout": None}]},
        }
    }
    monkeypatch.setattr(tasks, "RESTART_IN", 0.01)
    # Tasks inherit the context, and with it the process that they belong to here.
    monkeypatch.setattr(bus, "origin", origin.get)
    yield
    channel_layers.backends.clear()


class Process:
    """A link on a layer of its own, what it heard, and how often it may have missed something."""

    def __init__(self, name):
        self.heard = asyncio.Queue()
        self.gaps = asyncio.Queue()
        channel_layers.backends.clear()
        self.layer = bus.crossing_layer()
        self.link = Link(self.heard.put_nowait, lambda: self.gaps.put_nowait(1))
        self._context = copy_context()
        self._context.run(origin.set, name)

    async def start(self):
        self._context.run(self.link.start)
        await self.has_gap()

    async def stop(self):
        if self.link in bus._relays:
            await self.link.stop()
            await getattr(self.layer, "close_pools", self.layer.flush)()

    async def hears(self):
        return await asyncio.wait_for(self.heard.get(), PATIENCE)

    async def has_gap(self):
        await asyncio.wait_for(self.gaps.get(), PATIENCE)


@pytest.fixture
async def make(layer):
    made = []

    async def make(name):
        process = Process(name)
        made.append(process)
        await process.start()
        return process

    yield make
    for process in made:
        await process.stop()


@pytest.fixture
async def one(make):
    return await make("one")


@pytest.fixture
async def other(make):
    return await make("other")


async def test_nudges_cross_in_both_directions(one, other):
    one.link.relay(["a", "b"])
    assert sorted(await other.hears()) == ["a", "b"]
    other.link.relay(["c"])
    assert await one.hears() == ["c"]


async def test_own_nudges_are_not_heard(one, other):
    one.link.relay(["own"])
    assert await other.hears() == ["own"]
    other.link.relay(["other's"])
    assert await one.hears() == ["other's"]


async def test_relay_may_be_called_from_any_thread(one, other):
    thread = threading.Thread(target=one.link.relay, args=(["a"],))
    thread.start()
    assert await other.hears() == ["a"]
    thread.join()


async def test_nudge_of_this_process_is_relayed(one, other):
    # The first link that started carries the nudges of the process.
    bus.nudge(["a"])
    assert await other.hears() == ["a"]
    assert one.heard.empty()


async def test_process_without_a_loop_of_its_own_reaches_all(one, other):
    # As under WSGI: no hub, so no relay, and a short-lived loop for each nudge.
    bus.remove_relay(one.link)
    bus.remove_relay(other.link)
    await asyncio.to_thread(bus.nudge, ["a"])
    assert await one.hears() == ["a"]
    assert await other.hears() == ["a"]
    bus.add_relay(one.link)
    bus.add_relay(other.link)


async def test_what_is_still_to_be_sent_is_sent_before_the_end(make, other):
    leaving = await make("leaving")
    leaving.link.relay(["a"])
    await asyncio.sleep(0)
    await leaving.stop()
    assert await other.hears() == ["a"]


async def test_process_that_left_hears_nothing_more(make, one):
    gone = await make("gone")
    await gone.stop()
    assert gone.link not in bus._relays
    witness = await make("witness")
    one.link.relay(["a"])
    assert await witness.hears() == ["a"]
    assert gone.heard.empty()


async def test_membership_is_renewed_before_it_lapses(layer, monkeypatch):
    monkeypatch.setattr(link_module, "REJOIN", 0.001)
    process = Process("one")
    joined = asyncio.Queue()
    group_add = process.layer.group_add

    async def counted(group, channel):
        await group_add(group, channel)
        joined.put_nowait((group, channel))

    monkeypatch.setattr(process.layer, "group_add", counted)
    await process.start()
    joins = {await asyncio.wait_for(joined.get(), PATIENCE) for _ in range(3)}
    assert len(joins) == 1
    await process.stop()


def test_membership_is_renewed_long_before_any_usual_expiry():
    assert link_module.REJOIN <= 600


async def test_nudges_cross_again_after_redis_restarted_empty(one, other, redis):
    redis.stop()
    redis.start()
    give_up_at = asyncio.get_running_loop().time() + PATIENCE
    while other.heard.empty():
        assert asyncio.get_running_loop().time() < give_up_at
        one.link.relay(["a"])
        await asyncio.sleep(0.05)
    assert await other.hears() == ["a"]


@pytest.mark.parametrize("layer", [CORE], indirect=True, ids=["core"])
async def test_lost_connection_is_a_gap_and_everything_is_looked_at(one, redis, layer, caplog):
    assert one.gaps.empty()
    redis.stop()
    redis.start()
    await one.has_gap()
    assert "realtime-session-bus failed and is restarted." in caplog.text


async def test_nothing_crosses_a_layer_in_memory(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    heard, gaps = [], []
    link = Link(heard.append, lambda: gaps.append(1))
    link.start()
    assert bus._relays == []
    assert [t for t in asyncio.all_tasks() if t.get_name().startswith("realtime-session")] == []
    await link.stop()
    assert heard == gaps == []


def test_relay_of_a_loop_that_is_closed_does_nothing():
    async def make():
        return Link(lambda sids: None, lambda: None)

    asyncio.run(make()).relay(["a"])
