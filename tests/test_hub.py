"""What the hub does when things go wrong, and that nothing of it is left."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import Model
from django.test import Client

from realtime_session import bus, engine, hub, monitor
from realtime_session.models import MonitoredSession
from realtime_session.signals import session_ended
from realtime_session.store_calls import ACTIVITY_TICK
from tests.ages import aage, asid_of
from tests.sockets import make_socket, tab

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[AbstractUser], Client]


def rename(model: type[Model], old: str, new: str) -> None:
    with connection.schema_editor() as schema:
        schema.alter_db_table(model, old, new)


@asynccontextmanager
async def no_store() -> AsyncIterator[None]:
    """A database that fails each time it is asked for the store's table."""
    table = MonitoredSession._meta.db_table
    await sync_to_async(rename)(MonitoredSession, table, "away")
    try:
        yield
    finally:
        await sync_to_async(rename)(MonitoredSession, "away", table)


async def test_nothing_is_left_when_the_last_tab_goes(client: Client) -> None:
    async with tab(client):
        async with tab(client):
            (only,) = hub._hubs.values()
            assert only.tabs == 2
        assert only.tabs == 1
        assert hub._hubs
    assert not hub._hubs
    assert only.tabs == 0


async def test_nothing_is_left_when_the_server_cancels_the_application(client: Client) -> None:
    socket = make_socket(client)
    await socket.connect()
    await socket.hear("state")
    socket.future.cancel()
    await asyncio.wait({socket.future})
    assert not hub._hubs


async def test_nothing_is_left_when_the_server_ended_the_session(client: Client) -> None:
    socket = make_socket(client)
    await socket.connect()
    await socket.hear("state")
    await monitor.aend_session(await asid_of(client))
    await socket.hear("expired")
    assert await socket.hear_close() == 4001
    await asyncio.wait({socket.future}, timeout=5)
    assert not hub._hubs, "whether or not the client answers the close"


async def test_a_hub_that_ends_makes_room_for_the_next(client: Client) -> None:
    for _ in range(5):
        async with tab(client) as socket:
            await socket.say("activity")


async def test_without_the_store_a_tab_hears_unavailable_and_stays(client: Client) -> None:
    await aage(client, 800)
    async with tab(client) as socket:
        async with no_store():
            await socket.say("extend", id="e")
            errors = [await socket.hear("error")]
            if "id" not in errors[0]:
                errors.append(await socket.hear("error"))
            assert {error["code"] for error in errors} == {"unavailable"}
            assert errors[-1]["id"] == "e"
        await socket.say("extend", id="again")
        assert (await socket.hear("extended"))["id"] == "again"


async def test_activity_is_kept_until_the_store_is_back(client: Client) -> None:
    sid = await aage(client, 300)
    async with tab(client) as socket:
        async with no_store():
            await socket.say("activity")
            assert (await socket.hear("error"))["code"] == "unavailable"
        await eventually(lambda: idle_for(sid) < 60)


def idle_for(sid: str) -> float:
    return time.time() - MonitoredSession.objects.get(sid=sid).last_activity_at


async def eventually(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 5
    while not await sync_to_async(condition)():
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.02)


async def test_nobody_expires_while_the_store_is_away(client: Client) -> None:
    await aage(client, 898.5)
    async with tab(client) as socket:
        async with no_store():
            assert (await socket.hear("error"))["code"] == "unavailable"
            assert await socket.receive_nothing(timeout=1.8)
        assert (await socket.hear("expired"))["reason"] == "idle"


async def test_a_new_tab_without_the_store_is_told_to_come_back(
    client: Client, broken_engine: None
) -> None:
    socket = make_socket(client)
    await socket.connect()
    assert (await socket.hear("error"))["code"] == "unavailable"
    assert await socket.hear_close() == 1013
    await socket.leave()


@pytest.fixture
def broken_engine(settings: Any) -> Iterator[None]:
    """A database without Django's sessions."""
    rename(Session, "django_session", "away")
    yield
    rename(Session, "away", "django_session")


async def test_the_django_session_is_deleted_at_the_deadline_and_the_end_signalled(
    client: Client,
) -> None:
    ends = []

    def receiver(sender: object, signal: object, **arguments: Any) -> None:
        ends.append(arguments)

    session_ended.connect(receiver)
    sid = await aage(client, 898.5)
    async with tab(client) as socket:
        await socket.hear("expired")
        assert not await Session.objects.aexists(), "gone before anybody hears"
    await eventually(lambda: MonitoredSession.objects.filter(sid=sid, finished=True).exists())
    session_ended.disconnect(receiver)
    (end,) = ends
    assert (end["sid"], end["reason"]) == (sid, "idle")


async def test_a_slow_receiver_does_not_delay_the_push(client: Client) -> None:
    def receiver(**arguments: Any) -> None:
        time.sleep(1)

    session_ended.connect(receiver)
    sid = await aage(client, 898.5)
    async with tab(client) as socket:
        expired = await socket.hear("expired")
    row = await MonitoredSession.objects.aget(sid=sid)
    session_ended.disconnect(receiver)
    assert expired["at"] - (row.last_activity_at + 900) < 0.5


async def test_a_slow_session_backend_does_not_delay_the_push_for_long(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = threading.Event()
    delete = engine.delete

    def delete_slowly(keys: Iterable[str]) -> dict[str, Exception]:
        may_go_on.wait(10)
        return delete(keys)

    monkeypatch.setattr(engine, "delete", delete_slowly)
    sid = await aage(client, 898.5)
    async with tab(client) as socket:
        expired = await socket.hear("expired")
        assert await Session.objects.aexists()
        may_go_on.set()
    await eventually(lambda: MonitoredSession.objects.filter(sid=sid, finished=True).exists())
    row = await MonitoredSession.objects.aget(sid=sid)
    assert expired["at"] - (row.last_activity_at + 900) < 1
    assert not await Session.objects.aexists()


async def test_activity_elsewhere_moves_the_timer_here(client: Client) -> None:
    sid = await aage(client, 778.5)
    async with tab(client) as socket:
        # As another process would, in the active phase, when nothing is nudged.
        await sync_to_async(monitor.get_store().touch)({sid: 0.0})
        assert await socket.receive_nothing(timeout=1.8)


async def test_a_thousand_activities_are_a_few_writes(client: Client) -> None:
    sid = await asid_of(client)
    async with tab(client):
        (only,) = hub._hubs.values()
        writes = []
        original = only.store._store.atouch

        async def counting(*arguments: Any) -> Any:
            writes.append(arguments)
            return await original(*arguments)

        only.store._store.atouch = counting
        session = only.watch._sessions[sid]
        for _ in range(1000):
            only.watch.activity(session.tabs[0])
        await asyncio.sleep(2 * ACTIVITY_TICK)
        only.store._store.atouch = original
    assert len(writes) == 1


async def test_the_deadline_of_each_of_many_sessions_is_kept(
    anna: AbstractUser, sign_in: SignIn
) -> None:
    async with AsyncExitStack() as stack:
        sockets = []
        for _ in range(20):
            client = await sync_to_async(sign_in)(anna)
            sockets.append(await stack.enter_async_context(tab(client)))
            bus.nudge([await aage(client, 898)])
        for socket in sockets:
            assert (await socket.hear("warning"))["type"] == "warning"
            assert (await socket.hear("expired"))["reason"] == "idle"
    assert await MonitoredSession.objects.filter(end_reason="idle").acount() == 20


async def test_a_record_that_cannot_be_read_ends_its_own_session_only(
    client: Client, ben: AbstractUser, sign_in: SignIn
) -> None:
    other = await sync_to_async(sign_in)(ben)
    bad, good = await asid_of(client), await asid_of(other)
    async with tab(client) as socket, tab(other) as stranger:
        await MonitoredSession.objects.filter(sid=bad).aupdate(warn_before=-1)
        bus.nudge([bad, good])
        assert (await socket.hear("expired"))["reason"] == "unknown"
        assert await socket.hear_close() == 4001
        await stranger.say("extend")
        await stranger.hear("extended")
    answer = await sync_to_async(client.get)("/whoami/")
    assert answer.json() == {"user": "", "ended": "unknown"}
