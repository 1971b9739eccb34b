"""What only a store in a database has to mind: queries, transactions, and databases that go away."""

import asyncio
import gc
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import connections, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from realtime_session import bus, monitor
from realtime_session.models import MonitoredSession
from realtime_session.policy import EndReason
from realtime_session.stores import StoreUnavailable
from realtime_session.stores.orm import ORMStore

from .backends import close_for_good, mariadb, migrated, postgres, sqlite
from .records import record, sid

PATIENCE = 20
ORM = f"{ORMStore.__module__}.{ORMStore.__qualname__}"


@pytest.fixture
def store(database):
    """It has its own clock, as in production."""
    store = database.make()
    store.open(record(started_at=-5, last_activity_at=-5), as_of=0)
    return store


@pytest.fixture
def queries(database):
    """Counts what the database is asked, transactions aside."""

    def queries(job):
        with CaptureQueriesContext(connections[database.alias]) as captured:
            job()
        return [
            query["sql"]
            for query in captured.captured_queries
            if not query["sql"].startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE"))
        ]

    return queries


def is_mysql(database):
    return connections[database.alias].vendor == "mysql"


class TestQueries:
    def test_look_is_one(self, store, queries):
        assert len(queries(lambda: store.get([sid()]))) == 1

    def test_touch_is_one_where_the_database_can_return_what_it_updates(
        self, store, database, queries
    ):
        expected = 2 if is_mysql(database) else 1
        assert len(queries(lambda: store.touch({sid(): 0}))) == expected

    def test_touch_of_many_is_as_many_as_the_touch_of_one(self, store, database, queries):
        for number in range(1, 100):
            store.open(record(number))
        ages = {sid(number): 0.0 for number in range(100)}
        assert len(queries(lambda: store.touch(ages))) == (2 if is_mysql(database) else 1)

    def test_bind_is_one(self, store, queries):
        assert len(queries(lambda: store.bind(sid(), "key", 60))) == 1

    def test_end_is_two_for_the_winner_and_one_for_the_others(self, store, queries):
        assert len(queries(lambda: store.end(sid(), EndReason.LOGOUT))) == 2
        assert len(queries(lambda: store.end(sid(), EndReason.LOGOUT))) == 1

    def test_end_of_many_is_as_many_as_the_end_of_one(self, database, queries, clock):
        store = database.make(clock)
        sids = [sid(number) for number in range(300)]
        for number in range(300):
            store.open(record(number))
        clock.advance(100)
        assert len(queries(lambda: store.end_due(sids))) == 2
        assert len(queries(lambda: store.end_due(sids))) == 1
        clock.advance(100)
        assert len(queries(lambda: store.claim_unfinished(50, 500))) == 3
        assert len(queries(lambda: store.claim_unfinished(50, 500))) == 1
        assert len(queries(lambda: store.finish(sids))) == 1


def test_no_column_that_a_touch_writes_is_indexed():
    # Else PostgreSQL could not update the row in place.
    indexed = {f.name for f in MonitoredSession._meta.fields if f.db_index or f.unique}
    assert MonitoredSession._meta.indexes == []
    assert indexed == {"sid", "user_id", "session_key", "due_after", "ended_at", "claimed_at"}


class TestTransactions:
    @pytest.fixture
    def nudges(self):
        heard = []
        bus.listen(heard.extend)
        yield heard
        bus.unlisten(heard.extend)

    def test_job_waits_for_the_commit(self, store, database):
        jobs = []
        with transaction.atomic(using=database.alias):
            store.on_commit(lambda: jobs.append(1))
            assert jobs == []
        assert jobs == [1]

    def test_job_is_dropped_with_what_was_rolled_back(self, store, database):
        jobs = []
        with transaction.atomic(using=database.alias):
            store.on_commit(lambda: jobs.append(1))
            transaction.set_rollback(True, using=database.alias)
        assert jobs == []

    def test_others_are_told_of_an_end_once_they_can_see_it(self, database, store, nudges):
        setting = {"STORE": {"BACKEND": ORM, "OPTIONS": {"using": database.alias}}}
        with override_settings(REALTIME_SESSION=setting):
            with transaction.atomic(using=database.alias):
                assert monitor.end(sid(), EndReason.REVOKED) is not None
                assert nudges == []
            assert nudges == [sid()]

    def test_end_that_is_rolled_back_did_not_happen(self, database, store):
        with transaction.atomic(using=database.alias):
            assert store.end(sid(), EndReason.REVOKED) is not None
            transaction.set_rollback(True, using=database.alias)
        assert store.get([sid()])[1][sid()].ended_at is None
        assert store.end(sid(), EndReason.LOGOUT) is not None

    @pytest.mark.parametrize("server", ["mariadb"])
    def test_end_in_an_old_snapshot_is_an_end_all_the_same(self, server, start, django_db_blocker):
        with django_db_blocker.unblock():
            alias = start(server).alias
            store = start(server).make()
            store.open(record(started_at=-5, last_activity_at=-5), as_of=0)
            with connections[alias].cursor() as cursor:
                # What MySQL does by default, and Django does not.
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            with transaction.atomic(using=alias):
                store.get([sid()])
                elsewhere(lambda: store.touch({sid(): 0}))
                ended = store.end(sid(), EndReason.LOGOUT)
            assert ended is not None
            assert store.get([sid()])[1] == {sid(): ended}

    @pytest.mark.parametrize("server", ["mariadb"])
    def test_session_that_was_active_after_an_old_snapshot_is_not_looked_at_for_ever(
        self, server, start, clock, monkeypatch, django_db_blocker
    ):
        with django_db_blocker.unblock():
            alias = start(server).alias
            store = start(server).make(clock)
            monkeypatch.setattr(monitor, "get_store", lambda: store)
            store.open(record())
            clock.advance(90)
            with connections[alias].cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            with transaction.atomic(using=alias):
                store.get([sid()])
                elsewhere(lambda: store.touch({sid(): 0}, extend=True))
                clock.advance(10)
                with pytest.raises(StoreUnavailable, match="old record"):
                    monitor.admit(sid(), counts=False)
            assert monitor.admit(sid(), counts=False).ended is None


def elsewhere(job):
    """Runs ``job`` on another connection, to its end."""

    def run():
        job()
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def assert_unavailable(store):
    for operation in (
        lambda: store.open(record(9), as_of=0),
        lambda: store.get([sid()]),
        lambda: store.touch({sid(): 0}),
        lambda: store.touch({}),
        lambda: store.end(sid(), EndReason.LOGOUT),
        lambda: store.overdue(5),
        lambda: store.end_due([sid()]),
        lambda: store.claim_unfinished(0, 5),
        lambda: store.finish([sid()]),
        lambda: store.bind(sid(), "key", 60),
        lambda: store.find_ended("key"),
        lambda: store.for_user("1"),
        lambda: store.all(),
        lambda: store.purge(0),
    ):
        with pytest.raises(StoreUnavailable):
            operation()


class TestDatabaseThatIsGone:
    # PyMySQL leaks its socket where nobody listens any more.
    @pytest.mark.filterwarnings("ignore:.*unclosed <socket:ResourceWarning")
    @pytest.mark.filterwarnings("ignore:.*<socket:pytest.PytestUnraisableExceptionWarning")
    @pytest.mark.parametrize("server", [postgres, mariadb])
    def test_every_operation_says_so(self, server, django_db_blocker):
        with django_db_blocker.unblock(), server() as backend:
            store = backend.make()
            store.start()
            asyncio.run(store.aopen(record(started_at=0, last_activity_at=0), 0))
            kill(backend.alias)
            assert_unavailable(store)
            with pytest.raises(StoreUnavailable):
                asyncio.run(store.aget([sid()]))
            asyncio.run(store.astop())
        gc.collect()

    def test_locked_sqlite_says_so_and_recovers(self, django_db_blocker):
        with django_db_blocker.unblock(), sqlite(timeout=0.01) as backend:
            store = backend.make()
            store.open(record(started_at=-5, last_activity_at=-5), as_of=0)
            locked, release = threading.Event(), threading.Event()

            def lock():
                with connections[backend.alias].cursor() as cursor:
                    cursor.execute("BEGIN IMMEDIATE")
                    locked.set()
                    release.wait(PATIENCE)
                    cursor.execute("ROLLBACK")
                connections.close_all()

            thread = threading.Thread(target=lock)
            thread.start()
            locked.wait(PATIENCE)
            with pytest.raises(StoreUnavailable):
                store.touch({sid(): 0})
            # Readers are not held up.
            assert sid() in store.get([sid()])[1]
            release.set()
            thread.join()
            now, _ = store.touch({sid(): 0})
            assert store.get([sid()])[1][sid()].last_activity_at == now

    def test_table_that_another_thread_locks_in_memory_is_waited_for(self, django_db_blocker):
        config = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": "file:waited?mode=memory&cache=shared",
        }
        with django_db_blocker.unblock(), migrated("memory", {"default": config}) as backend:
            store = backend.make()
            store.open(record(started_at=-5, last_activity_at=-5), as_of=0)
            locked = threading.Event()
            release = threading.Event()

            def lock():
                with transaction.atomic(using=backend.alias):
                    MonitoredSession.objects.using(backend.alias).update(session_key="x")
                    locked.set()
                    release.wait(PATIENCE)
                close_for_good(backend.alias)

            thread = threading.Thread(target=lock)
            thread.start()
            locked.wait(PATIENCE)
            threading.Timer(0.05, release.set).start()
            assert sid() in store.touch({sid(): 0})[1]
            thread.join()
            assert store.get([sid()])[1][sid()].session_key == "x"

    def test_error_in_a_transaction_leaves_the_connection_to_its_owner(self, database, store):
        with transaction.atomic(using=database.alias):
            connection = connections[database.alias].connection
            with pytest.raises(StoreUnavailable):
                store.open(record(user_id=None))
            transaction.set_rollback(True, using=database.alias)
        assert connections[database.alias].connection is connection


class TestRestartOfPostgreSQL:
    @pytest.fixture
    def postgres(self, start, django_db_blocker):
        with django_db_blocker.unblock():
            yield start("postgres")

    def test_store_goes_on_with_new_connections(self, postgres):
        store = postgres.make()
        store.start()
        asyncio.run(store.aopen(record(started_at=0, last_activity_at=0), 0))
        here = backend_pid(postgres.alias)
        there = asyncio.run(store._run(backend_pid, postgres.alias))
        # The server then ends all connections, recovers, and goes on.
        os.kill(here, signal.SIGKILL)
        wait_for_end(here)
        wait_for_end(there)
        for look in (lambda: store.get([sid()]), lambda: asyncio.run(store.aget([sid()]))):
            with pytest.raises(StoreUnavailable):
                look()
        assert sid() in eventually(lambda: store.get([sid()]))[1]
        assert sid() in eventually(lambda: asyncio.run(store.aget([sid()])))[1]
        asyncio.run(store.astop())

    def test_kept_connection_is_used_again(self, postgres):
        store = postgres.make()
        store.start()
        pids = {asyncio.run(store._run(backend_pid, postgres.alias)) for _ in range(3)}
        assert len(pids) == 1
        asyncio.run(store.astop())


def backend_pid(alias):
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def eventually(look):
    """What ``look`` finds once the database answers again."""
    give_up_at = time.monotonic() + PATIENCE
    while True:
        try:
            return look()
        except StoreUnavailable:
            assert time.monotonic() < give_up_at


def wait_for_end(pid):
    give_up_at = time.monotonic() + PATIENCE
    with suppress(ProcessLookupError):
        while time.monotonic() < give_up_at:
            os.kill(pid, 0)


def kill(alias):
    """Kills the whole server, and waits until it is gone."""
    host = Path(connections[alias].settings_dict["HOST"])
    directory = host if host.is_dir() else host.parent
    [pid_file] = [*directory.glob("data/*.pid")]
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
    connection = connections[alias]
    give_up_at = time.monotonic() + PATIENCE
    while connection.connection is not None and connection.is_usable():
        assert time.monotonic() < give_up_at
