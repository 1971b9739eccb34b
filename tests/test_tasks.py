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
        (logging.ERROR, "realtime-session-example failed and is restarted.")
    ] * 2
    assert "LookupError: lost" in caplog.text


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
