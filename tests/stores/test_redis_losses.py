"""How a store in Redis knows that it has lost what it was told, and until when that may be told again."""

import asyncio

import pytest
import redis

from realtime_session.stores.redis import RedisStore
from realtime_session.stores.redis.data import PARTITIONS
from realtime_session.stores.redis.epoch import LOSS_GRACE
from tests.redis_groups import cluster
from tests.redis_server import redis_server

from .records import JUST, record, sid


@pytest.fixture
def make(server, clock):
    """Makes the same store for one more process."""
    return lambda: RedisStore(server.url, clock=clock)


@pytest.fixture
def store(make, admin, clock):
    """One that has held a session for long."""
    store = make()
    store.open(record())
    store.lost_lately()
    clock.advance(LOSS_GRACE)
    assert not store.lost_lately()
    return store


def test_an_emptied_store_has_lost_lately_for_a_grace_from_the_first_question(store, admin, clock):
    admin.flushall()
    clock.advance(3600)
    assert store.lost_lately()
    clock.advance(LOSS_GRACE - JUST)
    assert store.lost_lately()
    clock.advance(JUST)
    assert not store.lost_lately()


def test_the_grace_is_the_same_for_every_process_that_knew_the_store(store, make, admin, clock):
    other = make()
    other.get([sid()])
    admin.flushall()
    assert store.lost_lately()
    clock.advance(LOSS_GRACE / 2)
    assert other.lost_lately()
    assert not make().lost_lately()
    clock.advance(LOSS_GRACE / 2)
    assert not other.lost_lately()
    assert not store.lost_lately()


def test_what_another_process_has_noted_is_a_new_epoch_here(store, make, admin, clock):
    epoch = store.epoch
    admin.flushall()
    make().lost_lately()
    clock.advance(LOSS_GRACE)
    assert not store.lost_lately()
    assert store.epoch == epoch + 1
    store.lost_lately()
    assert store.epoch == epoch + 1


@pytest.mark.parametrize("partition", [0, PARTITIONS - 1])
def test_one_partition_may_be_emptied_alone(store, admin, partition):
    epoch = store.epoch
    admin.delete(*admin.scan_iter(f"*{{{partition}}}:*"))
    assert store.lost_lately()
    assert store.epoch == epoch + 1


def test_a_store_that_has_just_been_set_up_has_lost_nothing(make, admin):
    store = make()
    assert not store.lost_lately()
    assert store.epoch == 0


def test_a_process_knows_since_its_first_call_what_it_may_miss(make, admin, clock):
    store = make()
    store.get([sid()])
    admin.flushall()
    clock.advance(JUST)
    assert store.lost_lately()


def test_a_record_that_was_deleted_by_itself_is_no_loss(store, admin):
    admin.delete(*admin.scan_iter("*:session:*"))
    assert not store.lost_lately()


def test_a_clock_that_is_set_back_is_no_loss(store, clock):
    clock.advance(-3600)
    assert not store.lost_lately()


def test_by_the_clock_of_the_server_too(server, admin):
    store = RedisStore(server.url)
    store.get([sid()])
    admin.flushall()
    assert store.lost_lately()
    [begun, *_] = admin.mget(admin.scan_iter("*:begun"))
    assert float(begun) == pytest.approx(admin.time()[0], abs=2)


async def test_event_loops_hear_of_it_too(store, admin):
    store.start()
    epoch = store.epoch
    assert not await store.alost_lately()
    admin.flushall()
    assert await store.alost_lately()
    assert store.epoch == epoch + 1
    await store.astop()


def test_a_restarted_server_has_lost_lately_for_a_grace_whatever_it_kept(clock, monkeypatch):
    with redis_server("--appendonly", "yes", "--appendfsync", "always") as own:
        store = RedisStore(own.url, clock=clock)
        monkeypatch.setattr(store._clients.epoch, "_clock", clock)
        store.open(record())
        store.lost_lately()
        clock.advance(LOSS_GRACE)
        assert not store.lost_lately()
        own.stop()
        own.start()
        assert store.lost_lately()
        assert sid() in store.get([sid()])[1]
        clock.advance(LOSS_GRACE - JUST)
        assert store.lost_lately()
        clock.advance(JUST)
        assert not store.lost_lately()


async def test_a_node_of_a_cluster_may_be_emptied_alone(clock):
    with cluster() as nodes:
        store = RedisStore(startup_nodes=nodes.addresses, clock=clock)
        store.start()
        for number in range(30):
            await store.aopen(record(number))
        await store.alost_lately()
        clock.advance(LOSS_GRACE)
        assert not await store.alost_lately()
        epoch = store.epoch
        with redis.Redis(port=nodes.nodes[1].port) as node:
            await asyncio.to_thread(node.flushall)
        assert 0 < len((await store.aget(map(sid, range(30))))[1]) < 30
        assert await store.alost_lately()
        assert store.epoch == epoch + 1
        await store.astop()
