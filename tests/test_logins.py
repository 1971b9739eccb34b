"""How a session comes to be monitored, and what is none of its logins."""

import time
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import AbstractUser
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedSession
from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpRequest
from django.test import Client

from realtime_session import logins, monitor
from realtime_session.engine import SID_KEY
from realtime_session.models import MonitoredSession
from tests.ages import age, sid_of
from tests.sockets import connect, make_socket, session_cookie, tab

pytestmark = pytest.mark.django_db(transaction=True)


def request_with(session: SessionStore, user: AbstractUser) -> HttpRequest:
    request = HttpRequest()
    request.session = session
    request.user = user
    return request


def test_two_first_requests_at_once_make_one_record(client: Client, anna: AbstractUser) -> None:
    session = client.session
    del session[SID_KEY]
    session.save()
    MonitoredSession.objects.all().delete()
    key = session_cookie(client)
    sids = {logins.adopt(request_with(SessionStore(key), anna)).sid for _ in range(2)}
    assert MonitoredSession.objects.filter(sid__in=sids).count() == len(sids) == 1


def test_an_adopted_sid_tells_nothing_of_the_key(client: Client, anna: AbstractUser) -> None:
    key = session_cookie(client)
    session = SessionStore(key)
    session.pop(SID_KEY)
    adopted = logins.adopt(request_with(session, anna))
    assert len(adopted.sid) == 32
    assert key[:6] not in adopted.sid


@pytest.mark.parametrize("is_ended", [True, False], ids=["ended", "overdue"])
def test_a_cookie_from_before_is_nobodys_once_its_session_has_ended(
    anna: AbstractUser, settings: Any, is_ended: bool
) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    before = SignedSession()
    before[SESSION_KEY] = str(anna.pk)
    before[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    before[HASH_SESSION_KEY] = anna.get_session_auth_hash()
    before.save()

    def browser() -> Client:
        client = Client()
        client.cookies[settings.SESSION_COOKIE_NAME] = before.session_key
        return client

    client, copy = browser(), browser()
    assert client.get("/whoami/").json()["user"] == "anna"
    if is_ended:
        client.post("/logout/")
    else:
        age(client, 900)
    assert copy.get("/whoami/").json()["user"] == ""


def test_sessions_without_a_key_share_no_sid(anna: AbstractUser, ben: AbstractUser) -> None:
    sids = set()
    for user in (anna, ben):
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        sids.add(logins.adopt(request_with(session, user)).sid)
    assert len(sids) == 2


def test_a_login_by_token_is_none_of_the_session(anna: AbstractUser) -> None:
    request = request_with(SessionStore(), anna)
    user_logged_in.send(type(anna), request=request, user=anna)
    assert not MonitoredSession.objects.exists()
    assert not Session.objects.exists()


def test_a_login_by_token_does_not_restart_the_session_beside_it(
    client: Client, anna: AbstractUser
) -> None:
    age(client, 300)
    request = request_with(SessionStore(session_cookie(client)), anna)
    user_logged_in.send(type(anna), request=request, user=anna)
    assert time.time() - MonitoredSession.objects.get().started_at > 299


@pytest.mark.parametrize(("choice", "status"), [("deny", 503), ("allow", 302)])
def test_a_login_without_the_store_follows_the_setting(
    anna: AbstractUser, settings: Any, choice: str, status: int
) -> None:
    settings.REALTIME_SESSION = {"ON_STORE_ERROR": choice}
    table = MonitoredSession._meta.db_table
    with connection.schema_editor() as schema:
        schema.alter_db_table(MonitoredSession, table, "away")
    client = Client()
    response = client.post("/login/", {"username": "anna", "password": "anna"})
    with connection.schema_editor() as schema:
        schema.alter_db_table(MonitoredSession, "away", table)
    assert response.status_code == status
    expected = "anna" if choice == "allow" else ""
    assert client.get("/whoami/").json()["user"] == expected
    assert MonitoredSession.objects.filter(ended_at=None).count() == (choice == "allow")


@pytest.mark.parametrize(
    ("method", "path"), [("post", "extend"), ("post", "refresh"), ("get", "state")]
)
def test_http_serves_no_session_that_django_would_refuse(
    client: Client, anna: AbstractUser, method: str, path: str
) -> None:
    sid = sid_of(client)
    anna.is_active = False
    anna.save()
    response = getattr(client, method)(f"/session/{path}/")
    assert response.status_code == 401
    assert response.json()["reason"] == "revoked"
    assert MonitoredSession.objects.get(sid=sid).end_reason == "revoked"


def test_a_session_that_django_empties_for_its_password_is_revoked(
    client: Client, anna: AbstractUser
) -> None:
    sid = sid_of(client)
    anna.set_password("new")
    anna.save()
    assert client.get("/whoami/").json()["user"] == ""
    assert MonitoredSession.objects.get(sid=sid).end_reason == "revoked"


def test_a_key_that_changed_out_of_sight_is_noted_at_the_next_request(client: Client) -> None:
    sid = sid_of(client)
    MonitoredSession.objects.filter(sid=sid).update(session_key="old")
    client.get("/whoami/")
    assert MonitoredSession.objects.get(sid=sid).session_key == session_cookie(client)


def test_messages_of_a_view_do_not_revive_a_session(client: Client, settings: Any) -> None:
    settings.MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
    response = client.get("/end-and-message/")
    assert response.status_code == 302
    assert client.get("/whoami/").json()["user"] == ""


async def test_a_tab_hears_of_an_end_while_it_is_let_in(client: Client, settings: Any) -> None:
    sid = await sync_to_async(sid_of)(client)
    settings.REALTIME_SESSION = {"REVALIDATE_INTERVAL": 3600}
    async with tab(client), connect(client) as late:
        # Ended while the look that lets it in is under way, or just before or after: it hears it always.
        await monitor.aend_session(sid)
        heard = [await late.hear()]
        if heard[0]["type"] == "state":
            heard.append(await late.hear())
        assert heard[-1]["type"] == "expired"


async def test_urls_of_the_socket_are_those_of_the_mounted_project(
    client: Client, settings: Any
) -> None:
    settings.LOGIN_URL = "login"
    sid = await sync_to_async(sid_of)(client)
    socket = make_socket(client)
    socket.scope |= {"root_path": "/app", "path": "/app/ws/session/"}
    await socket.connect()
    await socket.hear("state")
    await monitor.aend_session(sid)
    assert (await socket.hear("expired"))["redirect"] == "/app/login/"
    await socket.leave()
