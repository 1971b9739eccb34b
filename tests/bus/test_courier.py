"""Nudges of processes that serve no sockets, over a real Redis that comes and goes."""

import asyncio
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from realtime_session import bus, courier
from realtime_session.courier import Courier

from .conftest import assert_disconnected, send_from_elsewhere


@pytest.fixture
async def listener(one):
    """A process that hears, while nothing here carries nudges but the courier."""
    bus.remove_relay(one.link)
    yield one
    bus.add_relay(one.link)


@pytest.fixture
def carrier(layer):
    """A courier on a layer that nothing listens to."""
    return Courier()


def carry(carrier, sids):
    """Carry a nudge, and return how long that took."""
    began = time.monotonic()
    carrier.carry(sids)
    return time.monotonic() - began


def threads():
    return [each for each in threading.enumerate() if each.name == "realtime-session-courier"]


async def test_nudge_reaches_those_who_listen(listener):
    await asyncio.to_thread(bus.nudge, ["a"])
    assert await listener.hears() == ["a"]


async def test_nudge_within_an_event_loop_is_sent_and_not_waited_for(listener):
    # As from an async view.
    bus.nudge(["a"])
    assert await listener.hears() == ["a"]


async def test_loss_of_the_last_nudge_is_noticed(listener):
    bus.nudge(["heard"])
    assert await listener.hears() == ["heard"]
    listener.forget_gaps()
    # As a layer does that is over its capacity.
    bus._courier._outbox._number += 1
    await listener.has_gap()


def test_thread_and_connections_end_when_there_is_nothing_to_send(carrier, redis):
    for round in range(3):
        for number in range(5):
            carry(carrier, [f"{round}-{number}"])
        assert len(threads()) == 1
        threads()[0].join(10)
        assert threads() == []
        assert_disconnected(redis)


def test_two_hundred_requests_on_threads_of_their_own_leave_nothing(
    carrier, redis, caplog, monkeypatch
):
    # As a WSGI server with threads: at most so many connections as one thread needs.
    # To count them may take a busy machine longer than the thread would wait for more.
    monkeypatch.setattr(courier, "LINGER", 60.0)
    with ThreadPoolExecutor(8) as pool:
        carried = pool.map(lambda number: carry(carrier, [str(number)]), range(200))
        clients = [redis.clients for _ in zip(range(10), carried, strict=False)]
        assert sum(carried) < 10
    assert set(clients) <= {1, 2}
    [thread] = threads()
    carrier.finish()
    thread.join(10)
    assert threads() == []
    assert_disconnected(redis)
    assert caplog.messages == []


async def test_storm_from_another_process_loses_nothing(one, backend, redis):
    sids = [f"{number:032x}" for number in range(2000)]
    slowest = asyncio.to_thread(send_from_elsewhere, backend, redis, sids, 8)
    sending = asyncio.create_task(slowest)
    await one.hears_all(set(sids))
    assert await sending < 2
    assert one.gaps.empty()


def test_layer_that_is_away_costs_a_request_little_and_the_log_one_line(
    carrier, redis, caplog, monkeypatch
):
    monkeypatch.setattr(courier, "NO_WAIT", 0.5)
    redis.stop()
    assert carry(carrier, ["a"]) < courier.PATIENCE + 0.5
    assert max(carry(carrier, [str(number)]) for number in range(50)) < 0.1
    redis.start()
    time.sleep(0.6)
    carry(carrier, ["b"])
    threads()[0].join(10)
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [
        (logging.ERROR, "realtime-session-courier failed and is tried again: ConnectionError"),
        (logging.WARNING, "realtime-session-courier works again."),
    ]


def test_layer_that_hangs_delays_one_request_for_two_seconds_and_no_other(carrier, redis):
    carry(carrier, ["before"])
    redis.ask("CLIENT", "PAUSE", "4000")
    assert courier.PATIENCE - 0.1 < carry(carrier, ["a"]) < courier.PATIENCE + 0.5
    assert max(carry(carrier, [str(number)]) for number in range(50)) < 0.1
    threads()[0].join(10)
    assert threads() == []


def nudge_in_fork():
    bus.nudge(["from the fork"])
    return len(threads())


async def test_fork_has_a_courier_of_its_own(listener):
    # A server that forks its workers after it has sent something.
    await asyncio.to_thread(bus.nudge, ["from the parent"])
    assert await listener.hears() == ["from the parent"]
    with get_context("fork").Pool(1) as pool:
        running = pool.apply_async(nudge_in_fork)
        assert await asyncio.to_thread(running.get, 20) == 1
    assert await listener.hears() == ["from the fork"]
