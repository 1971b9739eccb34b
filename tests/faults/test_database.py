"""A database that fails under the default store: sockets live on, and the truth is caught up with."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from tests.faults import slow
from tests.faults.crowd import Crowd
from tests.faults.postgres import postgres
from tests.faults.stage import Stage

pytestmark = slow
RECOVERY = 4.5
"""Seconds: SQLite's lock and a retry, each of which may have just begun to wait."""


async def gather(stage: Stage) -> Crowd:
    await stage.start("daphne", "uvicorn")
    crowd = stage.crowd()
    logins = await stage.log_in(60, 24, 8)
    crowd.add(logins[:30], homes=[(0, 1), (0,), (1,)])
    crowd.add(logins[30:], homes=[(0, 1), (0,), (1,)], is_active=True)
    await crowd.arrive()
    await crowd.sit(spread=10)
    await crowd.until_near()
    return crowd


async def compare(stage: Stage, crowd: Crowd, fault: str) -> None:
    await crowd.until_over(patience=10)
    assert all(tab.states == 1 for tab in crowd.tabs), "a socket was closed"
    assert any(tab.troubles for tab in crowd.tabs), "nobody noticed"
    await stage.judge(fault)


async def test_postgresql_may_be_restarted(stage: Stage) -> None:
    with postgres() as server:
        stage.use_databases(server.databases)
        crowd = await gather(stage)
        with crowd.outage(RECOVERY):
            await asyncio.to_thread(server.stop)
            await asyncio.sleep(2)
            await asyncio.to_thread(server.start)
        await compare(stage, crowd, "PostgreSQL restarted")
        await stage.close()


@pytest.mark.parametrize("seconds", [10])
async def test_sqlite_may_be_locked(stage: Stage, seconds: float) -> None:
    crowd = await gather(stage)
    database = stage.scratch / "db.sqlite3"
    with closing(sqlite3.connect(database, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with crowd.outage(RECOVERY):
            await asyncio.sleep(seconds)
            connection.execute("ROLLBACK")
    await compare(stage, crowd, f"SQLite locked for {seconds} s")
