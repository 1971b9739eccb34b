"""What links do when their layer fails as Redis can: they hear again, and look at everything."""

import asyncio
import logging
import time

import pytest

from realtime_session import link, nudges, tasks

from .conftest import CORE, PATIENCE, PUBSUB, send_from_elsewhere


@pytest.fixture(autouse=True)
def only_our_log(caplog):
    caplog.set_level(logging.CRITICAL, "channels_redis")
    caplog.set_level(logging.INFO, "realtime_session")


@pytest.fixture
async def pair(one, other):
    """Two processes that have nothing left to look at."""
    await asyncio.sleep(0.1)
    one.forget_gaps()
    other.forget_gaps()
    return one, other


async def assert_recovers(pair):
    """Both look at everything, and then hear each other."""
    one, other = pair
    await one.has_gap()
    await other.has_gap()
    await assert_cross(pair)


async def assert_cross(pair):
    one, other = pair
    for here, there in ((one, other), (other, one)):
        here.link.relay(["again"])
        while "again" not in await there.hears():
            pass


async def test_redis_restarts_empty(pair, redis):
    redis.stop()
    redis.start()
    await assert_recovers(pair)


async def test_redis_is_away_for_long(pair, redis, caplog):
    redis.stop()
    await asyncio.sleep(3)
    # A line for each process's loss, whatever it tried meanwhile; a second one if it failed in another way.
    lost = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert 2 <= len(lost) <= 4
    assert sum(record.exc_info is not None for record in lost) == 2
    redis.start()
    await assert_recovers(pair)
    works = [message for message in caplog.messages if "works again" in message]
    assert works == ["realtime-session-bus works again."] * 2


async def test_what_is_nudged_while_redis_is_away_is_heard_afterwards(pair, redis):
    one, _ = pair
    redis.stop()
    await asyncio.sleep(2)
    one.link.relay(["meanwhile"])
    await asyncio.sleep(0.5)
    redis.start()
    # By its name, or by the look that follows if the message was lost with the connection.
    await assert_recovers(pair)


async def test_connections_are_killed(pair, redis):
    redis.ask("CLIENT", "KILL", "TYPE", "normal")
    redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
    await assert_recovers(pair)


async def test_redis_answers_late(pair, redis):
    # Nothing is lost, so there is nothing to look at.
    redis.ask("CLIENT", "PAUSE", "1500")
    await assert_cross(pair)
    assert all(process.gaps.empty() for process in pair)


async def test_redis_answers_too_late(pair, redis, monkeypatch):
    monkeypatch.setattr(nudges, "SEND_TIMEOUT", 0.5)
    redis.ask("CLIENT", "PAUSE", "3000")
    await assert_recovers(pair)


async def test_redis_freezes(pair, redis, monkeypatch):
    monkeypatch.setattr(nudges, "SEND_TIMEOUT", 0.5)
    with redis.frozen():
        await asyncio.sleep(3)
    await assert_recovers(pair)


@pytest.mark.parametrize("backend", [CORE], indirect=True)
async def test_group_that_was_flushed_is_joined_again(pair, redis):
    began = time.monotonic()
    redis.ask("FLUSHALL")
    await assert_recovers(pair)
    assert time.monotonic() - began < link.HEARTBEAT + link.ECHO_TIMEOUT + tasks.RESTART_IN + 2


@pytest.mark.parametrize("backend", [PUBSUB], indirect=True)
async def test_flush_is_nothing_to_the_pubsub_layer(pair, redis):
    redis.ask("FLUSHALL")
    await assert_cross(pair)


@pytest.mark.parametrize("backend", [CORE], indirect=True)
async def test_full_channel_is_a_gap(make, use_layer, backend, redis):
    use_layer(channel_capacity={"specific*": 5})
    process = await make("one")
    # Which stands still meanwhile.
    send_from_elsewhere(backend, redis, [str(number) for number in range(50)])
    await asyncio.to_thread(send_from_elsewhere, backend, redis, ["last"])
    await process.has_gap()


async def test_process_that_stood_still_hears_all(make, backend, redis, monkeypatch):
    # A heartbeat that is under way when it stops would be found lost: then it looks at everything.
    monkeypatch.setattr(link, "HEARTBEAT", 3600)
    one = await make("one")
    sids = [f"{number:032x}" for number in range(500)]
    one.forget_gaps()
    send_from_elsewhere(backend, redis, sids)
    heard = set()
    while sids[-1] not in heard:
        heard |= set(await one.hears())
    # redis-py gives up what it was reading if the loop stood still for the length of its timeout.
    missing = set(sids) - heard
    assert len(missing) <= 1
    assert not missing or not one.gaps.empty()


async def test_looks_at_everything_are_apart(one, monkeypatch):
    one.forget_gaps()
    monkeypatch.setattr(link, "LOOKS_APART", 0.5)
    began = time.monotonic()
    for _ in range(100):
        one.link._gap.set()
        await asyncio.sleep(0.01)
    assert 1 <= one.gaps.qsize() <= (time.monotonic() - began) / 0.5 + 2


async def test_redis_is_away_from_the_start(layer, redis, make):
    redis.stop()
    starting = asyncio.create_task(make("one"))
    await asyncio.sleep(1)
    assert not starting.done()
    redis.start()
    await asyncio.wait_for(starting, PATIENCE)


async def test_link_ends_soon_although_redis_is_away(pair, redis, make):
    with redis.frozen():
        began = time.monotonic()
        for process in pair:
            process.link.relay(["a"])
            await process.stop()
        assert time.monotonic() - began < 2 * (link.STOP_TIMEOUT + 3)
