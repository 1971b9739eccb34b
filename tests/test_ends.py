"""However a session ends, it ends once: one signal, with what is documented, and no login or logout faked."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AbstractUser
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.models import Session
from django.test import Client

from realtime_session import monitor
from realtime_session.looks import looks
from realtime_session.models import MonitoredSession
from realtime_session.policy import EndReason
from realtime_session.stores import get_store
from tests.ages import aage, asid_of
from tests.servers import Server, hear
from tests.sockets import Socket, connect, tab

pytestmark = pytest.mark.django_db(transaction=True)

Ends = list[dict[str, Any]]
PATIENCE = 5


@pytest.fixture
def logouts(client: Client) -> Iterator[list[str]]:
    heard: list[str] = []

    def logged_in(**arguments: Any) -> None:
        heard.append("in")

    def logged_out(**arguments: Any) -> None:
        heard.append("out")

    user_logged_in.connect(logged_in)
    user_logged_out.connect(logged_out)
    yield heard
    user_logged_in.disconnect(logged_in)
    user_logged_out.disconnect(logged_out)


async def by_http(client: Client, socket: Socket) -> None:
    await sync_to_async(client.post)("/logout/")


async def by_socket(client: Client, socket: Socket) -> None:
    await socket.say("logout")


async def by_scheduler(client: Client, socket: Socket) -> None:
    await aage(client, 899.7)
    async with tab(client):
        await asyncio.sleep(0.5)


async def by_request(client: Client, socket: Socket) -> None:
    await aage(client, 900)
    await sync_to_async(client.get)("/whoami/")


async def by_extend_that_came_too_late(client: Client, socket: Socket) -> None:
    await aage(client, 900)
    await socket.say("extend")


async def by_sweep(client: Client, socket: Socket) -> None:
    await aage(client, 900)
    await sync_to_async(monitor.sweep)(3600)


async def by_absolute_timeout(client: Client, socket: Socket) -> None:
    sid = await asid_of(client)
    await get_store().aset_expiry(sid, None, -1.0)
    looks.forget([sid])
    await sync_to_async(client.get)("/whoami/")


async def by_api(client: Client, socket: Socket) -> None:
    assert await monitor.aend_session(await asid_of(client))


async def by_closing(client: Client, socket: Socket) -> None:
    assert await monitor.aend_session(await asid_of(client), "closed")


async def by_revalidation(client: Client, socket: Socket) -> None:
    await Session.objects.all().adelete()
    await socket.say("extend")


End = Callable[[Client, Socket], Awaitable[None]]
WAYS: dict[End, tuple[EndReason, list[str]]] = {
    by_http: (EndReason.LOGOUT, ["out"]),
    by_socket: (EndReason.LOGOUT, []),
    by_scheduler: (EndReason.IDLE, []),
    by_request: (EndReason.IDLE, []),
    by_extend_that_came_too_late: (EndReason.IDLE, []),
    by_sweep: (EndReason.IDLE, []),
    by_absolute_timeout: (EndReason.ABSOLUTE, []),
    by_api: (EndReason.REVOKED, []),
    by_closing: (EndReason.CLOSED, []),
    by_revalidation: (EndReason.REVOKED, []),
}


async def is_finished(sid: str) -> None:
    give_up_at = time.monotonic() + PATIENCE
    while not await MonitoredSession.objects.filter(sid=sid, finished=True).aexists():
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("end", list(WAYS), ids=lambda end: end.__name__)
async def test_an_end_is_signalled_once_and_heard_in_every_tab(
    client: Client,
    anna: AbstractUser,
    ends: Ends,
    logouts: list[str],
    end: End,
) -> None:
    reason, faked = WAYS[end]
    sid = await asid_of(client)
    async with tab(client) as socket, tab(client) as other:
        await end(client, socket)
        for each in (socket, other):
            while (message := await each.hear())["type"] != "expired":
                assert message["type"] in ("warning", "state")
            assert message["reason"] == reason
    await is_finished(sid)
    row = await MonitoredSession.objects.aget(sid=sid)
    # Whatever comes afterwards ends nothing again.
    assert not await monitor.aend_session(sid, "logout")
    await sync_to_async(client.get)("/whoami/")
    async with connect(client) as late:
        while (event := await late.receive_output(PATIENCE))["type"] != "websocket.close":
            pass
        assert event["code"] == 4401
    await sync_to_async(monitor.sweep)(3600)
    assert [{name: each[name] for name in ("sid", "user_id", "reason", "at")} for each in ends] == [
        {"sid": sid, "user_id": str(anna.pk), "reason": reason, "at": row.ended_at}
    ]
    assert isinstance(ends[0]["reason"], EndReason)
    assert logouts == faked
    assert not await Session.objects.aexists()


async def test_the_async_api_serves_an_async_view_on_a_real_server(
    start: Callable[..., Server],
) -> None:
    server = start("uvicorn", {})
    here, elsewhere = server.browser().sign_in(), server.browser().sign_in()
    async with here.tab() as tab, elsewhere.tab() as other:
        for each in (tab, other):
            assert (await hear(each))["type"] == "state"
        answer = await asyncio.to_thread(here.http.get, "/api-of-python/")
        assert answer.json() == {
            "sessions": 2,
            "extended": 900.0,
            "applied": True,
            "others_ended": 1,
            "ended": True,
            "ended_again": False,
            "extended_too_late": None,
        }
        for each in (tab, other):
            assert (await hear(each))["reason"] == "revoked"


@pytest.mark.parametrize("message", ["sync", "activity", "extend"])
async def test_no_request_is_served_once_a_tab_hears_of_an_end_in_another_process(
    anna: AbstractUser, sign_in: Callable[[AbstractUser], Client], settings: Any, message: str
) -> None:
    # Its sessions cannot be deleted: what was looked at is all that keeps a request out.
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    client = await sync_to_async(sign_in)(anna)
    sid = await asid_of(client)
    async with tab(client) as socket:
        assert (await sync_to_async(client.get)("/whoami/")).json()["user"] == "anna"
        await get_store().aend(sid, EndReason.LOGOUT)
        await socket.say(message)
        assert (await socket.hear("expired"))["reason"] == "logout"
        answer = await sync_to_async(client.get)("/whoami/")
        assert answer.json() == {"user": "", "ended": "logout"}
