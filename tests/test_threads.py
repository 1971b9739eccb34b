import asyncio
import threading

import pytest
from django.db import OperationalError, connections

from realtime_session.threads import DatabaseThreads

PATIENCE = 5
NAME = "realtime-session-test"


@pytest.fixture
def threads():
    """Two threads, stopped after the test."""
    threads = DatabaseThreads(2, NAME)
    yield threads
    threads.stop()


def this_thread():
    return threading.current_thread()


def wait_for_end(*threads):
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


async def test_job_runs_elsewhere_and_its_result_comes_back(threads):
    assert await threads.run(lambda a, b: (a, b), 1, 2) == (1, 2)
    assert await threads.run(this_thread) is not threading.current_thread()


async def test_what_a_job_raises_comes_back(threads):
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 / 0)
    assert await threads.run(lambda: "alive") == "alive"


async def test_thread_survives_even_what_is_no_exception(threads):
    def leave():
        raise SystemExit

    with pytest.raises(SystemExit):
        threads.submit(leave).result(PATIENCE)
    assert await threads.run(lambda: "alive") == "alive"


def test_no_thread_is_started_before_there_is_a_job():
    DatabaseThreads(2, NAME).stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(NAME)]


def test_there_are_never_more_threads_than_said(threads):
    start = threading.Barrier(3)

    def work():
        start.wait(PATIENCE)
        return this_thread()

    busy = [threads.submit(work) for _ in range(2)]
    queued = [threads.submit(this_thread) for _ in range(20)]
    start.wait(PATIENCE)
    used = {job.result(PATIENCE) for job in busy + queued}
    assert sorted(thread.name for thread in used) == [f"{NAME}-1", f"{NAME}-2"]
    assert all(thread.daemon for thread in used)


def test_queued_jobs_are_finished_before_the_threads_end():
    threads = DatabaseThreads(1, NAME)
    go_on = threading.Event()
    first = threads.submit(lambda: go_on.wait(PATIENCE) and this_thread())
    later = [threads.submit(lambda number=number: number) for number in range(10)]
    threads.stop()
    go_on.set()
    assert [job.result(PATIENCE) for job in later] == list(range(10))
    wait_for_end(first.result(PATIENCE))


def test_job_that_was_cancelled_while_it_was_queued_does_not_run():
    threads = DatabaseThreads(1, NAME)
    go_on, done = threading.Event(), []
    threads.submit(go_on.wait, PATIENCE)
    cancelled = threads.submit(done.append, 1)
    assert cancelled.cancel()
    last = threads.submit(done.append, 2)
    go_on.set()
    last.result(PATIENCE)
    assert done == [2]
    threads.stop()


async def test_job_runs_to_its_end_even_if_nobody_waits_any_more(threads):
    started, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def work():
        started.set()
        go_on.wait(PATIENCE)
        done.set()

    waiting = asyncio.create_task(threads.run(work))
    await asyncio.to_thread(started.wait, PATIENCE)
    waiting.cancel()
    await asyncio.wait({waiting})
    go_on.set()
    assert await asyncio.to_thread(done.wait, PATIENCE)


@pytest.mark.django_db(transaction=True)
class TestConnections:
    @staticmethod
    def connection():
        connections["default"].ensure_connection()
        return connections["default"]

    async def test_connection_is_kept_from_one_job_to_the_next(self):
        threads = DatabaseThreads(1, NAME)
        one = await threads.run(self.connection)
        assert await threads.run(self.connection) is one
        assert one.connection is not None
        threads.stop()

    async def test_connection_is_closed_after_a_job_that_failed(self):
        threads = DatabaseThreads(1, NAME)
        one = await threads.run(self.connection)
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 / 0)
        assert one.connection is None
        threads.stop()

    def test_connection_is_closed_when_the_thread_ends(self):
        threads = DatabaseThreads(1, NAME)
        thread = threads.submit(this_thread).result(PATIENCE)
        one = threads.submit(self.connection).result(PATIENCE)
        threads.stop()
        wait_for_end(thread)
        assert one.connection is None


@pytest.mark.django_db(transaction=True)
async def test_connection_that_failed_is_closed_though_the_job_went_on():
    threads = DatabaseThreads(1, NAME)

    def fail_and_go_on():
        with pytest.raises(OperationalError), connections["default"].cursor() as cursor:
            cursor.execute("SELECT * FROM nowhere")
        return connections["default"]

    connection = await threads.run(fail_and_go_on)
    assert await threads.run(lambda: connection.connection) is None
    threads.stop()


async def test_waits_for_what_is_queued(threads):
    done = []
    start = threading.Event()
    for number in range(5):
        threads.submit(lambda number=number: (start.wait(PATIENCE), done.append(number)))
    waiting = asyncio.create_task(threads.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    start.set()
    await asyncio.wait_for(waiting, PATIENCE)
    assert sorted(done) == [0, 1, 2, 3, 4]
