import asyncio
import logging

import pytest

from realtime_session import tasks
from realtime_session.tasks import Service


@pytest.fixture(autouse=True)
def restart_at_once(monkeypatch):
    monkeypatch.setattr(tasks, "RESTART_IN", 0)


def named(name):
    return [task for task in asyncio.all_tasks() if task.get_name() == name]


async def test_work_runs_in_a_task_with_a_name():
    started = asyncio.Event()

    async def work():
        started.set()
        await asyncio.Event().wait()

    service = Service("example", work)
    service.start()
    await started.wait()
    assert len(named("realtime-session-example")) == 1
    await service.stop()
    assert named("realtime-session-example") == []


async def test_work_that_returns_is_done():
    runs = []

    async def work():
        runs.append(1)

    service = Service("example", work)
    service.start()
    await asyncio.wait(named("realtime-session-example"))
    assert runs == [1]
    await service.stop()


async def test_work_that_fails_is_logged_and_started_again(caplog):
    recovered = asyncio.Event()
    runs = []

    async def work():
        runs.append(1)
        if len(runs) < 3:
            raise LookupError("lost")
        recovered.set()

    service = Service("example", work)
    service.start()
    await recovered.wait()
    await service.stop()
    assert len(runs) == 3
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [
        (logging.ERROR, "realtime-session-example failed and is tried again: LookupError"),
    ]
    assert caplog.text.count("LookupError: lost") == 1


async def test_restart_does_not_spin(monkeypatch):
    monkeypatch.setattr(tasks, "RESTART_IN", 3600)
    runs = []

    async def work():
        runs.append(1)
        raise LookupError

    service = Service("example", work)
    service.start()
    for _ in range(100):
        await asyncio.sleep(0)
    assert runs == [1]
    await service.stop()


async def test_stopping_cancels_the_work_and_waits_for_its_end():
    ended = []
    started = asyncio.Event()

    async def work():
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(1)

    service = Service("example", work)
    service.start()
    await started.wait()
    await service.stop()
    assert ended == [1]


async def test_stopping_with_patience_lets_the_work_end_by_itself():
    wanted = asyncio.Event()
    ended = []

    async def work():
        await wanted.wait()
        await asyncio.sleep(0)
        ended.append(1)

    service = Service("example", work)
    service.start()
    wanted.set()
    await service.stop(patience=5)
    assert ended == [1]


async def test_patience_ends():
    service = Service("example", asyncio.Event().wait)
    service.start()
    await service.stop(patience=0.001)
    assert named("realtime-session-example") == []


async def test_stopping_twice_or_unstarted_does_no_harm():
    service = Service("example", asyncio.Event().wait)
    await service.stop()
    service.start()
    await service.stop()
    await service.stop()


async def test_stopped_service_can_be_started_again():
    service = Service("example", asyncio.Event().wait)
    for _ in range(2):
        service.start()
        assert len(named("realtime-session-example")) == 1
        await service.stop()


class Failing:
    """Work that raises what it is given, one after the other, and then waits."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.failed_all = asyncio.Event()

    async def __call__(self):
        if self.errors:
            raise self.errors.pop(0)
        self.failed_all.set()
        await asyncio.Event().wait()


async def test_each_kind_of_failure_is_a_line_once_and_the_first_has_its_traceback(caplog):
    caplog.set_level(logging.DEBUG, "realtime_session")
    work = Failing(LookupError("1"), LookupError("2"), OSError("3"), OSError("4"))
    service = Service("example", work)
    service.start()
    await work.failed_all.wait()
    await service.stop()
    assert [(r.levelno, r.getMessage()[-11:], bool(r.exc_info)) for r in caplog.records] == [
        (logging.ERROR, "LookupError", True),
        (logging.DEBUG, "LookupError", True),
        (logging.ERROR, "in: OSError"[-11:], False),
        (logging.DEBUG, "in: OSError"[-11:], True),
    ]


async def test_recovery_is_a_line_and_the_next_failure_is_a_first_one(caplog):
    recovered = asyncio.Event()
    errors = [LookupError("1"), LookupError("2")]

    async def work():
        if len(errors) == 1:
            service.works()
            service.works()
        if errors:
            raise errors.pop()
        recovered.set()

    service = Service("example", work)
    service.start()
    await recovered.wait()
    await service.stop()
    assert [r.getMessage() for r in caplog.records] == [
        "realtime-session-example failed and is tried again: LookupError",
        "realtime-session-example works again.",
        "realtime-session-example failed and is tried again: LookupError",
    ]


async def restarts(monkeypatch, ran_for, count):
    """The pauses before so many restarts, without waiting, of work that runs for some seconds and fails."""
    pauses = []
    now = 0.0
    done = asyncio.Event()

    async def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == count:
            done.set()
            await asyncio.Event().wait()

    async def work():
        nonlocal now
        now += ran_for
        raise LookupError

    class Loop:
        def time(self):
            return now

    monkeypatch.setattr(tasks, "RESTART_IN", 1.0)
    monkeypatch.setattr(tasks.asyncio, "get_running_loop", Loop)
    monkeypatch.setattr(tasks.asyncio, "sleep", sleep)
    monkeypatch.setattr(tasks.random, "uniform", lambda low, high: high)
    service = Service("example", work)
    service.start()
    await done.wait()
    monkeypatch.undo()
    await service.stop()
    return pauses


async def test_restarts_come_later_and_later(monkeypatch):
    assert await restarts(monkeypatch, 0.1, 7) == [1, 2, 4, 8, 16, 30, 30]


async def test_work_that_ran_well_for_a_while_is_restarted_soon(monkeypatch):
    assert await restarts(monkeypatch, 31, 3) == [1, 1, 1]


async def test_cancellation_that_is_swallowed_is_repeated():
    swallowed = []

    async def deaf():
        for _ in range(3):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed.append(1)
        raise LookupError("nobody asks")

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    await tasks.end([task], cleanup=0.001)
    assert len(swallowed) == 3
