"""Nudges between processes, over a real Redis."""

import asyncio
import logging
import threading

import pytest

from realtime_session import bus, link
from realtime_session.link import Link

from .conftest import CORE, Process, assert_disconnected, send_from_elsewhere

NAMES = ["", "_beat", "_look", "_receive", "_send"]


def own_tasks():
    names = [task.get_name() for task in asyncio.all_tasks()]
    return sorted(name for name in names if name.startswith("realtime-session"))


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


async def test_nudges_that_meet_travel_together(one, other):
    for number in range(2000):
        one.link.relay([str(number)])
    heard, messages = set(), 0
    while len(heard) < 2000:
        heard |= set(await other.hears())
        messages += 1
    assert messages < 20
    assert other.gaps.empty()


async def test_what_is_still_to_be_sent_is_sent_before_the_end(make, other):
    leaving = await make("leaving")
    leaving.link.relay(["a"])
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


async def test_tasks_have_names_and_end_with_the_link(make):
    process = await make("one")
    assert own_tasks() == [f"realtime-session-bus{name}" for name in NAMES]
    await process.stop()
    assert own_tasks() == []


async def test_nothing_of_a_link_stays_in_redis_or_connected(make, redis, backend):
    for _ in range(20):
        await (await make("one")).stop()
    assert_disconnected(redis)
    # The pub/sub layer keeps nothing, and an empty group is no key.
    assert redis.ask("KEYS", "*group*") == []


@pytest.mark.parametrize("socket_timeout", [0.3, 5, None])
async def test_silence_is_no_trouble(use_layer, make, socket_timeout, caplog):
    caplog.set_level(logging.DEBUG, "realtime_session")
    use_layer(socket_timeout)
    process = await make("one")
    await asyncio.sleep(2.5)
    assert process.gaps.empty()
    assert caplog.messages == []
    other = await make("other")
    other.link.relay(["a"])
    assert await process.hears() == ["a"]


@pytest.mark.parametrize("backend", [CORE], indirect=True)
async def test_read_that_timed_out_is_no_trouble(
    settings, backend, redis, make, monkeypatch, caplog
):
    # In the URL, where nobody looks for it. No heartbeats: such a read can lose one.
    monkeypatch.setattr(link, "HEARTBEAT", 3600)
    caplog.set_level(logging.DEBUG, "realtime_session")
    config = {"hosts": [f"{redis.url}?socket_timeout=0.3"]}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend, "CONFIG": config}}
    process = await make("one")
    await asyncio.sleep(1)
    assert process.gaps.empty()
    assert caplog.messages == []
    other = await make("other")
    give_up_at = asyncio.get_running_loop().time() + 20
    while process.heard.empty() and asyncio.get_running_loop().time() < give_up_at:
        other.link.relay(["a"])
        await asyncio.sleep(0.05)
    assert await process.hears() == ["a"]


@pytest.mark.parametrize("backend", [CORE], indirect=True)
async def test_membership_is_renewed_before_it_lapses(make, use_layer, monkeypatch):
    monkeypatch.setattr(link, "HEARTBEAT", 3600)
    use_layer(group_expiry=2)
    one = await make("one")
    other = await make("other")
    await asyncio.sleep(4)
    one.link.relay(["a"])
    assert await other.hears() == ["a"]
    assert other.gaps.empty()


def test_each_loop_of_a_process_hears(use_layer, backend, redis):
    # Nothing of the project is replaced here: two threads, as of a server with several loops.
    use_layer()
    ready = threading.Barrier(3, timeout=20)
    heard = []

    async def listen(name):
        joined, heard_it = asyncio.Event(), asyncio.Event()

        def hear(sids):
            heard.append((name, sids))
            heard_it.set()

        own = Link(hear, joined.set)
        own.start()
        await asyncio.wait_for(joined.wait(), 20)
        await asyncio.to_thread(ready.wait)
        await asyncio.wait_for(heard_it.wait(), 20)
        await own.stop()

    threads = [threading.Thread(target=asyncio.run, args=(listen(name),)) for name in "ab"]
    for thread in threads:
        thread.start()
    ready.wait()
    send_from_elsewhere(backend, redis, ["x"])
    for thread in threads:
        thread.join()
    assert sorted(heard) == [("a", ["x"]), ("b", ["x"])]
    assert bus._relays == []
    assert_disconnected(redis)


async def test_nothing_crosses_a_layer_in_memory(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    await assert_does_nothing()


async def test_nothing_crosses_where_there_is_no_layer(settings):
    settings.CHANNEL_LAYERS = {}
    await assert_does_nothing()
    settings.REALTIME_SESSION = {"CHANNEL_LAYER": None}
    await assert_does_nothing()


async def assert_does_nothing():
    process = Process("alone")
    process.link.start()
    assert bus._relays == []
    assert own_tasks() == []
    bus.nudge(["a"])
    await process.link.stop()
    assert process.heard.empty()
    assert process.gaps.empty()
