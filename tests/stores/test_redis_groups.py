"""The Redis store under Sentinel while the master changes, and in a Cluster while a node is gone."""

import time
from collections.abc import Callable

import pytest
import redis

from realtime_session.policy import EndReason
from realtime_session.stores import StoreUnavailable
from realtime_session.stores.redis import RedisStore
from realtime_session.stores.redis.data import PARTITIONS, partition_of
from tests.redis_groups import cluster, sentinel_group, wait_for

from .records import record, sid

TIMEOUT = 1.0
FAILOVER = 20
"""Seconds, on a busy machine, for Sentinels that wait one second before they act."""


def opened(options) -> RedisStore:
    store = RedisStore(**options, timeout=TIMEOUT)
    for number in range(30):
        store.open(record(number, started_at=-5, last_activity_at=-5), as_of=0)
    return store


def patiently(ask: Callable[[], object]) -> object:
    """Asks until there is an answer; each time that there is none, it is said in time."""
    give_up_at = time.monotonic() + FAILOVER
    while True:
        begin = time.monotonic()
        try:
            return ask()
        except StoreUnavailable:
            assert time.monotonic() - begin < 3 * TIMEOUT + 1
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.05)


@pytest.fixture
def group():
    with sentinel_group() as group:
        yield group


@pytest.fixture(scope="module")
def nodes():
    with cluster() as nodes:
        yield nodes


class TestSentinel:
    def test_another_master_is_found_and_is_a_new_epoch(self, group):
        store = opened(group.options)
        everybody = [sid(number) for number in range(30)]
        assert len(store.get(everybody)[1]) == 30
        replicated(group)
        epoch = store.epoch
        group.master.stop()
        now, before = patiently(lambda: store.touch(dict.fromkeys(everybody, 0.0)))
        assert len(before) == 30
        assert store.epoch == epoch + 1
        assert store.end(sid(), EndReason.LOGOUT).ended_at >= now
        assert replication(group.replica.port)["role"] == "master"

    async def test_the_same_for_an_event_loop(self, group):
        store = opened(group.options)
        store.start()
        assert (await store.aget([sid()]))[1]
        replicated(group)
        epoch = store.epoch
        group.master.stop()
        give_up_at = time.monotonic() + FAILOVER
        while True:
            try:
                assert (await store.atouch({sid(): 0.0}))[1]
                break
            except StoreUnavailable:
                assert time.monotonic() < give_up_at
        assert store.epoch == epoch + 1
        await store.astop()

    def test_master_that_became_a_replica_is_left_at_once(self, group):
        store = opened(group.options)
        replicated(group)
        with redis.Redis(port=group.sentinels[0].port) as sentinel:
            patiently_failed_over(sentinel)
        wait_for(lambda: replication(group.master.port)["role"] == "slave")
        assert patiently(lambda: store.touch({sid(): 0.0}))[1]

    def test_one_sentinel_is_enough_to_find_the_master(self, group):
        for sentinel in group.sentinels[:2]:
            sentinel.stop()
        assert opened(group.options).get([sid()])[1]

    def test_without_a_sentinel_it_is_unavailable(self, group):
        store = RedisStore(**group.options, timeout=TIMEOUT)
        for sentinel in group.sentinels:
            sentinel.stop()
        with pytest.raises(StoreUnavailable, match="MasterNotFoundError"):
            store.get([])


def replicated(group) -> None:
    """What was written is on the replica, too, when this is over."""
    offset = replication(group.master.port)["master_repl_offset"]
    wait_for(lambda: replication(group.replica.port)["slave_repl_offset"] >= offset)


def replication(port: int) -> dict:
    with redis.Redis(port=port) as client:
        return client.info("replication")


def patiently_failed_over(sentinel) -> None:
    """Sentinels refuse while they are not sure that there is a good replica."""

    def failed_over():
        try:
            return sentinel.execute_command("SENTINEL", "FAILOVER", "mymaster")
        except redis.ResponseError:
            return False

    wait_for(failed_over)


class TestCluster:
    def test_every_node_holds_sessions(self, nodes):
        opened({"startup_nodes": nodes.addresses, "prefix": "spread"})
        for node in nodes.nodes:
            with redis.Redis(port=node.port) as client:
                assert client.dbsize() > 0

    def test_url_of_one_node_will_do(self, nodes):
        opened({"url": nodes.nodes[2].url, "cluster": True, "prefix": "url"})

    def test_partitions_are_about_equal_between_three_nodes(self):
        slots = [redis.crc.key_slot(f"{{{n}}}".encode()) for n in range(PARTITIONS)]
        held = [sum(slot * 3 // 16_384 == node for slot in slots) for node in range(3)]
        assert sorted(held) == [4, 6, 6]

    def test_many_threads_and_forgotten_scripts(self, nodes):
        store = opened({"startup_nodes": nodes.addresses, "prefix": "threads"})
        for node in nodes.nodes:
            with redis.Redis(port=node.port) as client:
                client.script_flush()
        assert len(store.touch({sid(number): 0.0 for number in range(30)})[1]) == 30

    def test_node_that_is_gone_takes_only_its_own_sessions(self, nodes):
        store = opened({"startup_nodes": nodes.addresses, "prefix": "gone"})
        epoch = store.epoch
        gone = nodes.nodes[1]
        there, lost = [], []
        for each in map(sid, range(30)):
            slot = redis.crc.key_slot(f"{{{partition_of(each)}}}".encode())
            (lost if nodes.node_of(slot) is gone else there).append(each)
        gone.stop()
        with pytest.raises(StoreUnavailable):
            store.get(lost)
        gone.start()
        wait_for(nodes.is_complete)
        assert patiently(lambda: store.get(lost))[1] == {}
        assert len(patiently(lambda: store.get(there))[1]) == len(there)
        assert store.epoch == epoch + 1

    async def test_the_same_for_an_event_loop(self, nodes):
        store = opened({"startup_nodes": nodes.addresses, "prefix": "gone-async"})
        store.start()
        everybody = [sid(number) for number in range(30)]
        assert len((await store.aget(everybody))[1]) == 30
        epoch = store.epoch
        gone = nodes.nodes[1]
        gone.stop()
        with pytest.raises(StoreUnavailable):
            await store.aget(everybody)
        gone.start()
        wait_for(nodes.is_complete)
        give_up_at = time.monotonic() + FAILOVER
        while True:
            try:
                assert 0 < len((await store.aget(everybody))[1]) < 30
                break
            except StoreUnavailable:
                assert time.monotonic() < give_up_at
        assert store.epoch == epoch + 1
        await store.astop()
