"""Hundreds of tabs in one process that come, and end, at the same moment."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db.models import F
from django.test import Client

from bench.people import alog_in
from realtime_session.models import MonitoredSession
from realtime_session.policy import Policy
from realtime_session.signals import session_ended
from tests.queries import count, queries_of_new_connections
from tests.sockets import Socket, make_socket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

PATIENCE = 60
SESSIONS, USERS, RECORDS = "django_session", "auth_user", MonitoredSession._meta.db_table


@pytest.fixture
def ends() -> Iterator[Counter[str]]:
    heard: Counter[str] = Counter()
    lock = threading.Lock()

    def receiver(sender: object, sid: str, **arguments: Any) -> None:
        with lock:
            heard[sid] += 1

    session_ended.connect(receiver)
    yield heard
    session_ended.disconnect(receiver)


def socket_of(session_key: str) -> Socket:
    client = Client()
    client.cookies["sessionid"] = session_key
    return make_socket(client)


@asynccontextmanager
async def tabs(session_keys: list[str]) -> AsyncIterator[list[Socket]]:
    """A tab for each session, all opened at once."""
    sockets = [socket_of(key) for key in session_keys]
    try:
        await asyncio.gather(*(socket.connect(timeout=PATIENCE) for socket in sockets))
        states = await asyncio.gather(*(s.receive_json_from(PATIENCE) for s in sockets))
        assert {state["type"] for state in states} == {"state"}
        yield sockets
    finally:
        for socket in sockets:
            await socket.leave()


async def all_of(condition: Any) -> None:
    give_up_at = time.monotonic() + PATIENCE
    while not await condition():
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.05)


async def test_a_herd_that_comes_back_costs_less_than_a_query_each() -> None:
    herd = 500
    keys = await alog_in(herd)
    with queries_of_new_connections() as asked:
        async with tabs(keys):
            pass
    for table in (SESSIONS, USERS, RECORDS):
        # The first few are asked for as they come, the rest together.
        assert 0 < count(asked, "SELECT", table) <= herd / 10
    assert not count(asked, "UPDATE", SESSIONS) + count(asked, "DELETE", SESSIONS)


async def test_sessions_that_end_together_are_told_and_cleaned_up_together(
    ends: Counter[str],
) -> None:
    crowd = 300
    keys = await alog_in(crowd, lambda index: Policy(900.0, 60.0))
    with queries_of_new_connections() as asked:
        async with tabs(keys) as sockets:
            due_at = time.time() + 1.0
            await MonitoredSession.objects.aupdate(
                started_at=F("started_at") - 900,
                last_activity_at=due_at - 900,
                previous_activity_at=due_at - 900,
                due_after=due_at,
            )
            # As a nudge would, which tells what is new.
            await asyncio.gather(*(socket.say("sync") for socket in sockets))
            for socket in sockets:
                while (message := await socket.receive_json_from(PATIENCE))["type"] != "expired":
                    assert message["type"] in ("warning", "state")
                assert message["reason"] == "idle"
                assert await socket.hear_close() == 4001

            async def is_finished() -> bool:
                return await MonitoredSession.objects.filter(finished=True).acount() == crowd

            await all_of(is_finished)
    sids = {row.sid async for row in MonitoredSession.objects.all()}
    assert ends == Counter(dict.fromkeys(sids, 1))
    assert not await Session.objects.aexists()
    assert count(asked, "DELETE", SESSIONS) <= crowd / 10
    assert count(asked, "UPDATE", RECORDS) <= crowd / 10


async def test_the_loop_gets_on_with_other_things_while_a_crowd_is_told() -> None:
    crowd = 300
    keys = await alog_in(crowd)
    async with tabs(keys) as sockets:
        await MonitoredSession.objects.aupdate(started_at=1.0, last_activity_at=1.0)
        told: list[int] = []

        async def watch() -> None:
            while True:
                told.append(sum(not socket.output_queue.empty() for socket in sockets))
                await asyncio.sleep(0)

        watcher = asyncio.create_task(watch())
        await asyncio.gather(*(socket.say("sync") for socket in sockets))
        for socket in sockets:
            assert (await socket.receive_output(PATIENCE))["type"] == "websocket.send"
        watcher.cancel()
    # Never more than a slice's at a time; two, if one turn of the loop meets the next.
    assert max(after - before for before, after in pairwise(told)) <= 2 * 25
