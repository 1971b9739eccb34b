"""Tabs under a lease, in one process; ``test_closing`` holds the same against real servers."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AbstractUser
from django.test import Client

from realtime_session import bus, hub, monitor
from realtime_session.models import MonitoredSession, TabPresence
from realtime_session.stores import get_store
from tests.ages import asid_of
from tests.sockets import tab

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[AbstractUser], Client]


@pytest.fixture
def client(anna: AbstractUser, sign_in: SignIn, settings: Any) -> Client:
    settings.REALTIME_SESSION = {"TAB_CLOSE_GRACE": 0.5}
    return sign_in(anna)


async def eventually(condition: Callable[[MonitoredSession], bool]) -> None:
    give_up_at = time.monotonic() + 5
    while not condition(await MonitoredSession.objects.aget()):
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.02)


async def test_a_tab_is_held_under_a_lease(client: Client) -> None:
    async with tab(client) as socket:
        await eventually(lambda row: row.joined_at > row.started_at)
        assert (await TabPresence.objects.aget()).until > time.time()
        # A hub lives on for the grace of a session that was only left.
        await monitor.aend_session(await asid_of(client))
        await socket.hear("expired")


async def test_a_process_that_stood_still_takes_its_tabs_back(client: Client) -> None:
    sid = await asid_of(client)
    await MonitoredSession.objects.aupdate(tab_close_grace=60)
    async with tab(client) as socket:
        await eventually(lambda row: row.joined_at > row.started_at)
        # Meanwhile another process swept: this one's lease had run out.
        await TabPresence.objects.aupdate(until=time.time() - 1)
        await sync_to_async(get_store().close_lapsed)()
        assert (await MonitoredSession.objects.aget()).closing_at is not None
        bus.nudge([sid])
        await eventually(lambda row: row.closing_at is None)
        assert await socket.receive_nothing()
        await monitor.aend_session(sid)
        await socket.hear("expired")


async def test_the_end_comes_also_where_the_store_is_slow_to_hear_of_the_leaving(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave = get_store().aleave

    async def slowly(*arguments: Any) -> None:
        await asyncio.sleep(0.3)
        await leave(*arguments)

    monkeypatch.setattr(get_store(), "aleave", slowly)
    async with tab(client):
        pass
    assert hub._hubs, "it lives until the grace is over"
    await eventually(lambda row: row.end_reason == "closed" and row.finished)
    await eventually(lambda row: not hub._hubs)


async def test_a_tab_that_the_server_cancels_is_about_to_come_back(client: Client) -> None:
    async with tab(client) as socket:
        await eventually(lambda row: row.joined_at > row.started_at)
        socket.future.cancel()
        await asyncio.wait({socket.future})
    assert not hub._hubs
    assert (await MonitoredSession.objects.aget()).closing_at is None
