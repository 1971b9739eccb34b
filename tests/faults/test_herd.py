"""All sockets of two processes drop at once, and all come back: nobody is asked for twice."""

import asyncio
import time

import httpx
import pytest

from tests.faults import slow
from tests.faults.crowd import until
from tests.faults.stage import Stage
from tests.faults.verdict import LATE, OVERLOADED
from tests.servers import Server

SESSIONS, USERS = "django_session", "auth_user"
MOST_THREADS = 8
"""Four for what blocks, one for the store, one to say who people are; and some room."""


async def queries(servers: list[Server]) -> dict[str, int]:
    async with httpx.AsyncClient() as http:
        asked = [(await http.get(f"{server.url}/queries/")).json() for server in servers]
    return {table: sum(each.get(table, 0) for each in asked) for table in (SESSIONS, USERS)}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("sockets", "idle"),
    [pytest.param(200, 8, id="quick"), pytest.param(3000, 40, id="3000", marks=slow)],
)
async def test_a_herd_that_comes_back_costs_one_query_each_at_most(
    stage: Stage, sockets: int, idle: float
) -> None:
    servers = await stage.start("daphne", "uvicorn")
    crowd = stage.crowd(pace=idle / 4)
    logins = await stage.log_in(sockets, idle, idle / 3)
    crowd.add(logins[: sockets // 10], homes=[(0,), (1,)])
    crowd.add(logins[sockets // 10 :], homes=[(0,), (1,)], is_active=True)
    await crowd.arrive()
    await crowd.sit(spread=idle / 3)
    await crowd.until_near()
    before = await queries(servers)
    dropped = [tab for tab in crowd.tabs if tab.connected_at]
    states = {tab: tab.states for tab in dropped}
    began = time.monotonic()
    for tab in dropped:
        assert tab.socket is not None
        tab.socket.close()
    assert await until(
        lambda: all(tab.states > states[tab] or tab.told for tab in dropped), patience=120
    )
    took = time.monotonic() - began
    after = await queries(servers)
    for table in (SESSIONS, USERS):
        assert after[table] - before[table] <= len(dropped)
    for server in servers:
        inside = await asyncio.to_thread(server.inside)
        assert len([name for name in inside["own"] if name[-1].isdigit()]) <= MOST_THREADS
    await crowd.until_over(patience=10)
    await crowd.until_back(patience=10)
    late = OVERLOADED if len(dropped) > 1000 else LATE
    await stage.judge(f"{len(dropped)} sockets dropped at once, back in {took:.1f} s", late=late)
