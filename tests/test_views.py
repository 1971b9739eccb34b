"""``state/``, ``extend/`` and ``refresh/``: the protocol without a socket."""

import time
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from realtime_session.models import MonitoredSession
from tests.ages import aage, age, sid_of
from tests.sockets import session_cookie, tab

pytestmark = pytest.mark.django_db(transaction=True)

each_view = pytest.mark.parametrize(
    ("method", "path"), [("get", "state"), ("post", "extend"), ("post", "refresh")]
)


def test_state_answers_the_state_and_is_no_activity(client: Client) -> None:
    age(client, 300)
    response = client.get("/session/state/")
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    state = response.json()
    assert state["type"] == "state"
    assert 599 < state["expires_in"] <= 600
    assert time.time() - MonitoredSession.objects.get(sid=sid_of(client)).last_activity_at > 299


async def test_state_answers_what_the_socket_says(client: Client) -> None:
    async with tab(client) as socket:
        answer = await aget(client, "/session/state/")
        assert answer.keys() == socket.state.keys()


async def aget(client: Client, path: str) -> dict[str, object]:
    return (await sync_to_async(client.get)(path)).json()


def test_extend_moves_the_deadline_in_the_warning_phase(client: Client) -> None:
    age(client, 800)
    extended = client.post("/session/extend/").json()
    assert extended["type"] == "extended"
    assert extended["can_extend"] is True
    assert 899 < extended["expires_in"] <= 900
    assert 779 < extended["warns_in"] <= 780


async def test_extend_is_heard_in_every_tab(client: Client) -> None:
    await aage(client, 800)
    async with tab(client) as one, tab(client) as two:
        await sync_to_async(client.post)("/session/extend/")
        for socket in (one, two):
            assert "id" not in await socket.hear("extended")


@each_view
def test_an_ended_session_gets_401_with_the_reason(client: Client, method: str, path: str) -> None:
    age(client, 900)
    response = getattr(client, method)(f"/session/{path}/")
    assert response.status_code == 401
    assert response.json()["type"] == "expired"
    assert response.json()["reason"] == "idle"


@each_view
def test_nobody_gets_401(db: None, method: str, path: str) -> None:
    response = getattr(Client(), method)(f"/session/{path}/")
    assert response.status_code == 401
    assert response.json()["reason"] == "unknown"


@pytest.mark.parametrize("path", ["extend", "refresh"])
def test_what_changes_something_needs_post_and_csrf(client: Client, path: str) -> None:
    age(client, 800)
    assert client.get(f"/session/{path}/").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert strict.post(f"/session/{path}/").status_code == 403
    assert time.time() - MonitoredSession.objects.get(sid=sid_of(client)).last_activity_at > 799


def test_refresh_renews_cookie_and_session_and_is_no_activity(client: Client) -> None:
    age(client, 300)
    Session.objects.update(expire_date=timezone.now() + timedelta(seconds=60))
    response = client.post("/session/refresh/")
    assert response.status_code == 204
    assert response.cookies[django_settings.SESSION_COOKIE_NAME].value == session_cookie(client)
    left = Session.objects.get().expire_date - timezone.now()
    assert left.total_seconds() > django_settings.SESSION_COOKIE_AGE - 60
    row = MonitoredSession.objects.get(sid=sid_of(client))
    assert time.time() - row.last_activity_at > 299


async def test_a_tab_is_asked_to_refresh_once_half_the_cookie_age_is_gone(client: Client) -> None:
    sid = await aage(client, 300)
    await MonitoredSession.objects.filter(sid=sid).aupdate(cookie_age=500)
    async with tab(client) as one, tab(client) as two:
        await one.say("activity")
        refresh = await one.hear("refresh")
        assert refresh["url"] == "/session/refresh/"
        assert await two.receive_nothing(), "one tab only"


async def test_nobody_is_asked_to_refresh_a_young_cookie(client: Client) -> None:
    await aage(client, 200)
    await MonitoredSession.objects.all().aupdate(cookie_age=500)
    async with tab(client) as one:
        await one.say("activity")
        assert await one.receive_nothing(timeout=0.5)


async def test_a_tab_is_asked_to_refresh_what_would_lapse_before_the_deadline(
    client: Client,
) -> None:
    await aage(client, 4)
    # Active since the save, but not since half of what it gave has passed.
    await MonitoredSession.objects.all().aupdate(cookie_age=8, last_activity_at=time.time() - 1)
    async with tab(client) as one:
        await one.hear("refresh")
        await sync_to_async(client.post)("/session/refresh/")
        await MonitoredSession.objects.all().aupdate(cookie_age=10_000)
        assert await one.receive_nothing(timeout=1.5)
