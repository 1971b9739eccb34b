"""What only a store in Redis has to mind: keys, connections, scripts, and a server that fails."""

import asyncio
import os
import re
import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from realtime_session.policy import EndReason, Policy
from realtime_session.stores import StoreUnavailable
from realtime_session.stores.redis import RedisStore
from realtime_session.stores.redis.data import PARTITIONS, partition_of
from tests.redis_server import redis_server

from .records import T0, record, sid
from .test_concurrency import at_once

TIMEOUT = 1.0
KEY = "s3ss10nk3y0fth3dj4ng0s3ss10n"
CLOSING = Policy(idle_timeout=100, warn_before=20, tab_close_grace=10)
_numbers = count()


@pytest.fixture
def prefix():
    return f"app{next(_numbers)}"


@pytest.fixture
def make(server, prefix):
    def make(**options):
        return RedisStore(server.url, **{"prefix": prefix, "timeout": TIMEOUT} | options)

    return make


@pytest.fixture
def store(make, admin):
    """On the server's clock, with one live session."""
    store = make()
    store.open(record(started_at=-5, last_activity_at=-5, session_key=KEY), as_of=0)
    return store


def is_there(store):
    return sid() in store.get([sid()])[1]


def kept(admin):
    """The keys that there are, but for those that say since when the store was not emptied."""
    return [key for key in admin.scan_iter(count=1000) if not key.endswith(":begun")]


def connections(admin):
    """How many there are, the one that asks aside."""
    return len(admin.client_list()) - 1


@contextmanager
def unavailable(*words, within=TIMEOUT + 1):
    """The store says that it is, in time, and tells nothing of what it was asked."""
    begin = time.monotonic()
    with pytest.raises(StoreUnavailable) as raised:
        yield
    assert time.monotonic() - begin < within
    told = str(raised.value)
    assert all(word in told for word in words), told
    seen = told + repr(raised.value.__cause__)
    assert KEY not in seen
    assert sid() not in seen


class TestKeys:
    @pytest.fixture
    def lived(self, make, admin, clock):
        """Sessions at every point of their lives."""
        store = make(clock=clock)
        for number in range(40):
            store.open(record(number, policy=CLOSING, session_key=f"{KEY}{number}"))
            store.join(sid(number), "process", 30)
        for number in range(20):
            store.end(sid(number), EndReason.LOGOUT)
        store.finish([sid(number) for number in range(10)])
        return store

    def test_all_begin_with_the_prefix_and_name_their_partition(self, lived, admin, prefix):
        keys = list(admin.scan_iter(count=1000))
        partitions = {f"{prefix}:{{{number}}}:" for number in range(PARTITIONS)}
        assert {key[: key.index("}:") + 2] for key in keys} <= partitions
        assert len({key for key in keys if ":session:" in key}) == 40

    def test_none_tells_a_session_key(self, lived, admin):
        assert not [key for key in admin.scan_iter(count=1000) if KEY in key]

    def test_only_the_records_of_finished_ends_expire(self, lived, admin, prefix):
        expiring = {key for key in admin.scan_iter(count=1000) if admin.ttl(key) != -1}
        finished = map(sid, range(10))
        assert expiring == {f"{prefix}:{{{partition_of(s)}}}:session:{s}" for s in finished}
        assert all(admin.ttl(key) > 86_400 for key in expiring)

    def test_tombstone_outlives_its_cookie(self, make, admin, clock, prefix):
        store = make(clock=clock)
        store.open(record(cookie_age=1_000_000.5))
        store.end(sid(), EndReason.LOGOUT)
        store.finish([sid()])
        [key] = admin.scan_iter("*:session:*")
        assert admin.ttl(key) == pytest.approx(2_000_001, abs=5)

    @pytest.mark.parametrize("expired", [False, True], ids=["purged", "expired and purged"])
    def test_nothing_is_left_of_a_session_in_the_end(self, make, admin, clock, expired):
        store = make(clock=clock)
        store.open(record(policy=CLOSING, session_key=KEY))
        store.join(sid(), "process", 30)
        store.leave(sid(), "process")
        clock.advance(10)
        assert store.overdue(1) == [sid()]
        store.end_due([sid()])
        store.finish([sid()])
        if expired:
            [key] = admin.scan_iter("*:session:*")
            admin.delete(key)
            assert store.all() == []
        assert store.purge(0) == (0 if expired else 1)
        assert kept(admin) == []

    def test_tabs_of_a_session_that_was_purged_go_with_their_lease(self, make, admin, clock):
        store = make(clock=clock)
        store.open(record(policy=CLOSING))
        store.join(sid(), "process", 30)
        store.end(sid(), EndReason.LOGOUT)
        store.finish([sid()])
        store.purge(0)
        clock.advance(30)
        store.close_lapsed()
        assert kept(admin) == []

    def test_what_was_evicted_and_opened_again_is_not_taken_for_ended(self, make, admin, clock):
        store = make(clock=clock)
        for number, finished in enumerate((True, False)):
            store.open(record(number, session_key=KEY))
            store.end(sid(number), EndReason.LOGOUT)
            if finished:
                store.finish([sid(number)])
            admin.delete(*admin.scan_iter(f"*:session:{sid(number)}"))
            store.open(record(number, session_key=KEY))
        clock.advance(10)
        assert store.claim_unfinished(0, 5) == []
        assert store.purge(0) == 0
        assert store.find_ended(KEY) is None
        assert [each.sid for each in store.all()] == [sid(0), sid(1)]
        assert sorted(each.sid for each in store.for_user("1")[1]) == [sid(0), sid(1)]

    @pytest.mark.parametrize("key", [KEY, "another key"])
    @pytest.mark.parametrize("finished", [False, True])
    def test_what_was_evicted_opened_and_ended_again_is_purged_by_its_new_end(
        self, make, admin, clock, key, finished
    ):
        store = make(clock=clock)
        store.open(record(session_key=KEY))
        store.end(sid(), EndReason.LOGOUT)
        store.finish([sid()])
        admin.delete(*admin.scan_iter(f"*:session:{sid()}"))
        clock.advance(100)
        store.open(record(session_key=key).shifted(100))
        ended = store.end(sid(), EndReason.REVOKED)
        if finished:
            store.finish([sid()])
        assert store.purge(50) == 0
        assert [each.sid for each in store.all()] == [sid()]
        assert store.find_ended(key).end_reason is EndReason.REVOKED
        clock.advance(100)
        assert store.claim_unfinished(50, 5) == ([] if finished else [ended])
        store.finish([sid()])
        assert store.purge(50) == 1
        assert kept(admin) == []

    def test_half_a_character_does_no_harm(self, make, clock):
        store = make(clock=clock)
        opened = store.open(record(user_agent="\ud800", session_key="\udfff"))
        assert store.get([sid()])[1] == {sid(): opened}
        assert store.find_ended("\udfff") is None

    def test_partitions_are_about_equal(self):
        spread = Counter(partition_of(os.urandom(16).hex()) for _ in range(16_000))
        assert len(spread) == PARTITIONS
        assert all(800 < held < 1200 for held in spread.values())

    def test_stores_with_other_prefixes_know_nothing_of_each_other(self, store, make):
        assert make(prefix="other").all() == []

    def test_user_id_that_begins_like_another_is_another(self, store):
        for number, user_id in enumerate(["a", "a\0b", "ab", "a\1"], start=1):
            store.open(record(number, user_id=user_id))
        assert [each.sid for each in store.for_user("a")[1]] == [sid(1)]


class TestScripts:
    def test_forgotten_scripts_are_sent_again(self, store, admin):
        for _ in range(2):
            admin.script_flush()
            assert is_there(store)
            admin.script_flush()
            assert len(store.touch({sid(number): 0 for number in range(100)})[1]) == 1

    async def test_forgotten_scripts_are_sent_again_from_an_event_loop(self, store, admin):
        store.start()
        for _ in range(2):
            admin.script_flush()
            assert (await store.aget([sid()]))[1]
        await store.astop()

    def test_known_scripts_are_called_by_their_digest(self, store, admin):
        store.touch({sid(): 0})
        admin.config_resetstat()
        store.touch({sid(): 0})
        stats = admin.info("commandstats")
        assert stats["cmdstat_evalsha"]["calls"] == 1
        assert "cmdstat_eval" not in stats


class Cut:
    """Stands between store and server, and breaks the next ``losses`` connections that have an answer."""

    def __init__(self, port):
        self.losses = 0
        self._server = "127.0.0.1", port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._sockets = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._sockets += [client, server]
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source, target):
        with suppress(OSError):
            while data := source.recv(65_536):
                if self.losses and source.getpeername() == self._server:
                    self.losses -= 1
                    break
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self):
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


class TestLostAnswers:
    @pytest.fixture
    def cut(self, server):
        cut = Cut(server.port)
        yield cut
        cut.close()

    @pytest.fixture
    def behind(self, store, cut, prefix):
        """The store, behind what loses answers."""
        behind = RedisStore(cut.url, prefix=prefix, timeout=TIMEOUT)
        assert is_there(behind)
        return behind

    def test_winner_of_an_end_wins_although_the_answer_was_lost(self, behind, store, cut):
        cut.losses = 1
        ended = behind.end(sid(), EndReason.LOGOUT)
        assert store.get([sid()])[1] == {sid(): ended}
        assert behind.end(sid(), EndReason.LOGOUT) is None

    async def test_the_same_from_an_event_loop(self, behind, store, cut):
        behind.start()
        await behind.aget([])
        cut.losses = 1
        ended = await behind.aend(sid(), EndReason.LOGOUT)
        assert store.get([sid()])[1] == {sid(): ended}
        await behind.astop()

    def test_second_loss_is_told(self, behind, store, cut):
        cut.losses = 2
        with unavailable("ConnectionError"):
            behind.end(sid(), EndReason.LOGOUT)
        assert store.get([sid()])[1][sid()].end_reason is EndReason.LOGOUT

    def test_a_lost_connection_to_the_same_server_is_no_new_epoch(self, behind, cut):
        epoch = behind.epoch
        cut.losses = 1
        assert is_there(behind)
        assert behind.epoch == epoch


class TestConnections:
    def test_sync_calls_share_one(self, store, admin):
        before = admin.info("stats")["total_connections_received"]
        for _ in range(50):
            assert is_there(store)
        assert admin.info("stats")["total_connections_received"] == before

    def test_threads_wait_for_one_rather_than_fail(self, make, store, admin):
        before = connections(admin)
        small = make(max_connections=5, timeout=10)
        assert all(at_once(*[lambda: is_there(small)] * 200))
        assert connections(admin) <= before + 5

    async def test_tasks_wait_for_one_rather_than_fail(self, make, store, admin):
        before = connections(admin)
        small = make(max_connections=5, timeout=30)
        small.start()
        answers = await asyncio.gather(*(small.aget([sid()]) for _ in range(1000)))
        assert all(sid() in found for _, found in answers)
        assert connections(admin) <= before + 5
        await small.astop()

    async def test_loop_keeps_its_own_until_it_is_done(self, make, admin):
        store = make()
        store.start()
        store.start()
        await store.aget([])
        kept = connections(admin)
        assert kept == 1
        for _ in range(20):
            await store.aget([])
        await store.astop()
        await store.aget([])
        assert connections(admin) == kept
        await store.astop()
        assert_left(admin, 0)

    async def test_loop_that_was_not_started_keeps_none(self, make, admin):
        store = make()
        await asyncio.gather(*(store.aget([]) for _ in range(20)))
        assert_left(admin, 0)

    async def test_waiting_for_one_has_an_end(self, make, store, admin):
        small = make(max_connections=1, timeout=0.3)
        small.start()
        await small.aget([])
        admin.client_pause(1500, all=True)
        answers = await asyncio.gather(*(small.aget([]) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(answer, StoreUnavailable) for answer in answers)
        await asyncio.sleep(1.5)
        assert (await small.aget([sid()]))[1]
        await small.astop()

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_forked_processes_have_their_own(self, store, admin):
        assert is_there(store)
        before = connections(admin)
        children = []
        for _ in range(4):
            if (child := os.fork()) == 0:
                status = 1
                with suppress(BaseException):
                    status = 0 if all(is_there(store) for _ in range(200)) else 1
                os._exit(status)
            children.append(child)
        assert all(is_there(store) for _ in range(200))
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
        assert connections(admin) == before


def assert_left(admin, count):
    give_up_at = time.monotonic() + 5
    while connections(admin) > count and time.monotonic() < give_up_at:
        time.sleep(0.01)
    assert connections(admin) == count


class TestServerThatFails:
    def test_refused_connection_is_told_at_once(self, make):
        with redis_server() as own:
            store = RedisStore(own.url)
        with unavailable("ConnectionError"):
            store.get([])

    async def test_refused_connection_is_told_at_once_to_an_event_loop(self):
        with redis_server() as own:
            store = RedisStore(own.url)
        with unavailable("ConnectionError"):
            await store.aget([])

    def test_killed_connections_are_made_anew(self, store, admin):
        stop = threading.Event()

        def ask():
            while not stop.is_set():
                store.touch({sid(): 0})

        def kill():
            for _ in range(10):
                admin.client_kill_filter(_type="normal", skipme=True)
                time.sleep(0.1)
            stop.set()

        epoch = store.epoch
        errors = at_once(*[lambda: told(ask)] * 4, lambda: told(kill))
        # Twice in one call is no longer made good.
        assert [error for error in errors if error][1:] == []
        assert store.epoch == epoch
        assert is_there(store)

    async def test_killed_connections_of_an_event_loop_are_made_anew(self, store, admin):
        store.start()
        for _ in range(10):
            await asyncio.gather(*(store.aget([sid()]) for _ in range(5)))
            admin.client_kill_filter(_type="normal", skipme=True)
        await store.astop()

    def test_server_that_stands_still_is_unavailable_in_time_and_works_afterwards(
        self, store, admin
    ):
        admin.client_pause(2500, all=True)
        for _ in range(2):
            with unavailable("TimeoutError"):
                store.touch({sid(): 0})
        time.sleep(1)
        assert is_there(store)

    async def test_the_same_for_an_event_loop(self, store, admin):
        store.start()
        admin.client_pause(2500, all=True)
        for _ in range(2):
            with unavailable("TimeoutError"):
                await store.atouch({sid(): 0})
        await asyncio.sleep(1)
        assert (await store.aget([sid()]))[1]
        await store.astop()

    def test_server_that_lost_everything_is_an_empty_store(self, store, admin):
        known = store.get([sid()])[1][sid()]
        admin.flushall()
        assert store.get([sid()])[1] == {}
        assert store.overdue(5) == store.all() == []
        assert store.open(known) == known
        assert is_there(store)

    def test_restart_is_a_new_epoch(self):
        with redis_server() as own:
            store = RedisStore(own.url)
            store.open(record())
            epoch = store.epoch
            own.stop()
            with unavailable("ConnectionError"):
                store.get([sid()])
            own.start()
            assert not is_there(store)
            assert store.epoch == epoch + 1

    async def test_restart_is_a_new_epoch_for_an_event_loop_that_saw_no_failure(self):
        with redis_server() as own:
            store = RedisStore(own.url)
            store.start()
            await store.aopen(record())
            epoch = store.epoch
            own.stop()
            own.start()
            assert (await store.aget([sid()]))[1] == {}
            assert store.epoch == epoch + 1
            await store.astop()

    def test_full_server_is_unavailable(self, store, admin):
        admin.config_set("maxmemory", 1)
        try:
            with unavailable("OutOfMemoryError"):
                store.bind(sid(), KEY, 60)
            with unavailable("OutOfMemoryError"):
                store.touch({sid(): 0})
            assert is_there(store)
        finally:
            admin.config_set("maxmemory", 0)
        assert is_there(store)

    def test_replica_is_unavailable(self, store, admin, server):
        with redis_server() as master:
            admin.execute_command("REPLICAOF", "127.0.0.1", str(master.port))
            try:
                with unavailable("ReadOnlyError"):
                    store.touch({sid(): 0})
            finally:
                admin.execute_command("REPLICAOF", "NO", "ONE")

    def test_wrong_password_is_unavailable(self, make):
        with unavailable():
            make(connection={"password": "wr0ng"}).get([])

    def test_user_of_the_page_may_do_all_that_a_store_does(self, server, admin, clock):
        page = Path(__file__).parents[2] / "docs/redis.md"
        [rules] = re.findall(r"^user (\S+ .*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        admin.execute_command("ACL", "SETUSER", *rules.replace(">…", ">pass").split())
        connection = {"username": "sessions", "password": "pass", "db": 1}
        admin.acl_log_reset()
        live(RedisStore(server.url.removesuffix("/0"), clock=clock, connection=connection), clock)
        # What redis-py tells of itself may be refused.
        refused = {each["object"].partition("|")[0] for each in admin.acl_log()}
        assert refused <= {"client"}

    def test_user_who_may_not_ask_for_info_is_served(self, make, store, admin):
        admin.execute_command(
            *("ACL", "SETUSER", "plain", "on", ">pass", "~*", "+@all", "-info", "-@dangerous")
        )
        plain = make(connection={"username": "plain", "password": "pass"})
        assert is_there(plain)
        assert plain.epoch == 0

    def test_what_a_script_may_not_do_is_told_without_its_arguments(self, make, store, admin):
        admin.execute_command(*("ACL", "SETUSER", "weak", "on", ">pass", "~*", "+@all", "-zadd"))
        with unavailable():
            make(connection={"username": "weak", "password": "pass"}).end(sid(), EndReason.LOGOUT)


def live(store, clock):
    """Does everything that a store does."""
    store.open(record(policy=CLOSING, session_key=KEY))
    store.open(record(policy=CLOSING, session_key=KEY))
    store.touch({sid(): 0}, page=True)
    store.bind(sid(), KEY, 60)
    store.set_expiry(sid(), 50, 500)
    store.set_policy(sid(), CLOSING)
    clock.advance(1)
    for process in ("one", "two"):
        store.join(sid(), process, 30)
    store.renew([sid()], "one", 31)
    store.leave(sid(), "two")
    clock.advance(30)
    store.close_lapsed()
    assert store.for_user("1")[1]
    clock.advance(100)
    assert store.overdue(5) == [sid()]
    assert store.end_due([sid()])
    assert store.find_ended(KEY)
    assert store.claim_unfinished(0, 5)
    store.finish([sid()])
    assert store.all()
    assert store.purge(0) == 1
    store.lost_lately()


def told(job):
    """What was raised, if anything."""
    try:
        job()
    except StoreUnavailable as error:
        return error


class TestClock:
    def test_server_tells_the_time_that_the_store_tells(self, store, admin):
        seconds, micros = admin.time()
        assert store.get([])[0] == pytest.approx(seconds + micros / 1e6, abs=1)

    def test_instants_keep_their_microseconds(self, make, clock):
        store = make(clock=clock)
        clock.now = T0 + 0.123456
        store.open(record(started_at=0, last_activity_at=0), as_of=0)
        clock.now += 1.000001
        store.touch({sid(): 0.1})
        [kept] = store.get([sid()])[1].values()
        assert kept.started_at == T0 + 0.123456
        assert kept.last_activity_at == T0 + 0.123456 + 1.000001 - 0.1
