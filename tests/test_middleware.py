"""The HTTP side, sync and async."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.conf import settings as django_settings
from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext

from realtime_session import monitor
from realtime_session.engine import SID_KEY
from realtime_session.looks import looks
from realtime_session.middleware import SessionMonitorMiddleware
from realtime_session.models import MonitoredSession
from realtime_session.policy import EndReason, Policy
from realtime_session.signals import session_started
from tests.ages import aage, age, sid_of
from tests.sockets import session_cookie

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[AbstractUser], Client]
Ends = list[dict[str, Any]]
NAVIGATE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


def row_of(client: Client) -> MonitoredSession:
    return MonitoredSession.objects.get(sid=sid_of(client))


def idle_for(client: Client) -> float:
    return time.time() - row_of(client).last_activity_at


def test_a_login_begins_a_monitored_session(client: Client, anna: AbstractUser) -> None:
    row = row_of(client)
    assert row.user_id == str(anna.pk)
    assert row.session_key == session_cookie(client)
    assert len(row.sid) == 32
    assert row.sid not in row.session_key
    assert (row.idle_timeout, row.warn_before, row.ended_at) == (900, 120, None)


def test_the_start_is_signalled(anna: AbstractUser, sign_in: SignIn) -> None:
    heard = []

    def receiver(sender: object, signal: object, **arguments: Any) -> None:
        heard.append(arguments)

    session_started.connect(receiver)
    client = sign_in(anna)
    session_started.disconnect(receiver)
    (start,) = heard
    assert start["sid"] == sid_of(client)
    assert start["user_id"] == str(anna.pk)
    assert start["reason"] is None
    assert abs(start["at"] - time.time()) < 5


def test_address_and_browser_are_recorded_unless_switched_off(
    anna: AbstractUser, settings: Any
) -> None:
    for kept in (True, False):
        settings.REALTIME_SESSION = {"RECORD_CLIENT": kept}
        client = Client(headers={"User-Agent": "x" * 300})
        client.post("/login/", {"username": "anna", "password": "anna"})
        row = row_of(client)
        assert row.ip_address == ("127.0.0.1" if kept else "")
        assert row.user_agent == ("x" * 255 if kept else "")


def test_a_session_from_before_the_installation_is_taken_up(client: Client) -> None:
    session = client.session
    del session[SID_KEY]
    session.save()
    MonitoredSession.objects.all().delete()
    assert client.get("/whoami/").json()["user"] == "anna"
    assert row_of(client).ended_at is None


def test_a_request_is_activity(client: Client) -> None:
    age(client, 300)
    client.get("/untouched/")
    assert idle_for(client) < 5


def test_a_failing_request_is_activity_too(client: Client) -> None:
    age(client, 300)
    assert client.get("/fail/").status_code == 500
    assert idle_for(client) < 5


def test_a_missing_page_is_activity_too(client: Client) -> None:
    age(client, 300)
    assert client.get("/nowhere/").status_code == 404
    assert idle_for(client) < 5


@pytest.mark.parametrize(
    "path",
    ["/passive/", "/apassive/", "/passive-class/", "/polls/poll/", "/api/x", "/session/state/"],
)
def test_a_passive_request_is_no_activity(client: Client, settings: Any, path: str) -> None:
    settings.REALTIME_SESSION = {
        "PASSIVE_URLS": [r"^/api/"],
        "PASSIVE_URL_NAMES": ["polls:poll"],
    }
    age(client, 300)
    client.get(path)
    assert idle_for(client) > 299


def test_a_header_makes_a_request_passive(client: Client) -> None:
    age(client, 300)
    client.get("/whoami/", headers={"X-Session-Passive": "1"})
    assert idle_for(client) > 299
    client.get("/whoami/", headers={"X-Session-Passive": "0"})
    assert idle_for(client) < 5


def test_passive_requests_do_not_hide_active_ones(client: Client) -> None:
    age(client, 300)
    client.get("/passive/")
    client.get("/whoami/")
    assert idle_for(client) < 5


def test_a_page_opened_during_the_warning_is_a_choice_to_stay(client: Client) -> None:
    age(client, 800)
    client.get("/whoami/", headers=NAVIGATE)
    assert idle_for(client) < 5


def test_a_fetch_during_the_warning_is_not(client: Client) -> None:
    age(client, 800)
    client.get("/whoami/", headers=FETCH)
    assert idle_for(client) > 799


def test_a_session_ends_without_a_scheduler(client: Client, ends: Ends) -> None:
    sid = age(client, 900)
    assert client.get("/whoami/").json() == {"user": "", "ended": "idle"}
    (end,) = ends
    row = MonitoredSession.objects.get(sid=sid)
    assert (end["sid"], end["reason"], end["at"]) == (sid, EndReason.IDLE, row.ended_at)
    assert row.finished
    assert not Session.objects.exists()


def test_a_session_just_before_its_end_is_served(client: Client) -> None:
    age(client, 899)
    assert client.get("/whoami/").json() == {"user": "anna", "ended": None}


def test_the_cookie_of_an_ended_session_is_deleted(client: Client) -> None:
    age(client, 900)
    response = client.get("/whoami/")
    assert response.cookies[django_settings.SESSION_COOKIE_NAME]["max-age"] == 0


def test_an_ended_session_is_refused_also_when_replayed(client: Client) -> None:
    copy = session_cookie(client)
    age(client, 900)
    client.get("/whoami/")
    for _ in range(2):
        replay = Client()
        replay.cookies[django_settings.SESSION_COOKIE_NAME] = copy
        assert replay.get("/whoami/").json() == {"user": "", "ended": "idle"}


def test_the_next_page_says_why(client: Client) -> None:
    age(client, 900)
    response = client.get("/members/", follow=True)
    assert response.redirect_chain == [("/login/?next=/members/", 302)]
    assert "no activity for a while" in response.content.decode()
    assert "no activity" not in client.get("/login/").content.decode(), "said once"


def test_a_tab_whose_cookie_another_one_lost_is_told_why(db: None) -> None:
    page = Client().get("/login/?next=/&session_ended=absolute").content.decode()
    assert "maximum duration" in page
    assert "<p class" not in Client().get("/login/?session_ended=<b>").content.decode()


def test_a_public_page_stays_public_after_the_end(client: Client) -> None:
    age(client, 900)
    assert client.get("/untouched/").content == b"untouched"


@pytest.mark.parametrize("headers", [{"Accept": "application/json"}, FETCH])
def test_a_fetch_gets_401_with_the_reason(client: Client, headers: dict[str, str]) -> None:
    age(client, 900)
    response = client.get("/members/", headers=headers)
    assert response.status_code == 401
    assert response["Cache-Control"].startswith("max-age=0")
    answer = response.json()
    assert answer["type"] == "expired"
    assert answer["reason"] == "idle"
    assert answer["redirect"] == "/login/"


def test_htmx_is_redirected_as_a_whole(client: Client) -> None:
    age(client, 900)
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/exam/?page=2", **FETCH}
    response = client.get("/members/", headers=headers)
    assert response["HX-Redirect"] == "/login/?next=/exam/%3Fpage%3D2"


def test_logout_ends_the_session(client: Client, ends: Ends) -> None:
    sid = sid_of(client)
    client.post("/logout/")
    row = MonitoredSession.objects.get(sid=sid)
    assert row.end_reason == "logout"
    assert [end["reason"] for end in ends] == ["logout"]


def test_logout_within_the_look_window_ends_the_session(client: Client) -> None:
    sid = sid_of(client)
    client.get("/whoami/")
    client.post("/logout/")
    assert MonitoredSession.objects.get(sid=sid).end_reason == "logout"


def test_logging_in_as_somebody_else_ends_the_session(client: Client, ben: AbstractUser) -> None:
    type(ben).objects.create_user("other")
    sid = sid_of(client)
    client.get("/switch/")
    assert MonitoredSession.objects.get(sid=sid).end_reason == "logout"
    row = row_of(client)
    assert row.sid != sid
    assert row.ended_at is None
    assert row.session_key == session_cookie(client)


def test_a_full_login_in_the_same_session_restarts_it(client: Client) -> None:
    sid = age(client, 300)
    client.get("/again/")
    row = row_of(client)
    assert row.sid == sid
    assert time.time() - row.started_at < 5


def test_a_key_that_was_cycled_is_remembered(client: Client) -> None:
    sid = sid_of(client)
    client.get("/cycle/")
    row = row_of(client)
    assert row.sid == sid
    assert row.session_key == session_cookie(client)


def test_a_request_that_was_running_at_the_end_does_not_revive_it(client: Client) -> None:
    for headers, status in ((NAVIGATE, 302), (FETCH, 401)):
        browser = Client()
        browser.login(username="anna", password="anna")
        response = browser.get("/end-and-write/", headers=headers)
        assert response.status_code == status
        assert browser.get("/whoami/").json()["user"] == ""


def test_a_view_may_end_its_own_session(client: Client) -> None:
    client.get("/end/")
    assert client.get("/whoami/").json() == {"user": "", "ended": "revoked"}


def test_a_policy_for_each_user(settings: Any, anna: AbstractUser, sign_in: SignIn) -> None:
    settings.REALTIME_SESSION = {"POLICY": f"{__name__}.policy_by_name"}
    assert row_of(sign_in(anna)).idle_timeout == 60


def policy_by_name(request: Any) -> Policy:
    return Policy(idle_timeout=60 if request.user.get_username() == "anna" else 600, warn_before=20)


def test_a_policy_that_is_none_is_an_error(settings: Any, anna: AbstractUser) -> None:
    settings.REALTIME_SESSION = {"POLICY": f"{__name__}.no_policy"}
    with pytest.raises(TypeError, match=r"POLICY.*no Policy"):
        Client().force_login(anna)


def no_policy(request: Any) -> None:
    return None


def queries(client: Client, path: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return [query["sql"] for query in captured]


def test_an_ordinary_request_costs_one_query_more(client: Client) -> None:
    own = [sql for sql in queries(client, "/whoami/") if "realtime_session" in sql]
    assert len(own) == 1


def test_a_request_within_the_look_window_costs_none(client: Client) -> None:
    queries(client, "/whoami/")
    assert queries(client, "/untouched/") == []
    own = [sql for sql in queries(client, "/whoami/") if "realtime_session" in sql]
    assert own == []


def test_an_anonymous_request_costs_none(db: None) -> None:
    assert queries(Client(), "/untouched/") == []
    assert queries(Client(), "/whoami/") == []


def test_an_anonymous_request_is_left_alone(db: None) -> None:
    response = Client().get("/untouched/")
    assert not response.has_header("Vary")
    assert not response.cookies


def test_a_request_saves_no_session_and_sends_no_cookie(client: Client) -> None:
    client.get("/whoami/")
    assert not client.get("/whoami/").cookies


def test_the_look_window_does_not_outlast_an_end(client: Client) -> None:
    client.get("/whoami/")
    monitor.end_session(sid_of(client))
    assert client.get("/whoami/").json()["user"] == ""


def test_the_look_window_does_not_outlast_the_active_phase(client: Client) -> None:
    age(client, 779)
    client.get("/passive/")
    assert looks.recall(session_cookie(client)) is not None
    age(client, 1)
    client.get("/passive/")
    assert looks.recall(session_cookie(client)) is None


def test_pages_may_be_kept_out_of_caches(client: Client, settings: Any) -> None:
    assert "Cache-Control" not in client.get("/untouched/")
    settings.REALTIME_SESSION = {"NO_STORE": True}
    for _ in ("looked at", "remembered"):
        assert client.get("/untouched/")["Cache-Control"] == "no-store"
    assert client.get("/cached/")["Cache-Control"] == "max-age=60", "the view decides"
    assert "Cache-Control" not in Client().get("/untouched/")


async def test_an_async_projects_pages_too(anna: AbstractUser, settings: Any) -> None:
    settings.REALTIME_SESSION = {"NO_STORE": True}
    client = AsyncClient()
    await client.aforce_login(anna)
    assert (await client.get("/awhoami/"))["Cache-Control"] == "no-store"


@pytest.fixture
def no_store(settings: Any) -> Iterator[Callable[[], None]]:
    """A database without the table of the store."""
    editor = connection.schema_editor

    def drop() -> None:
        with editor() as schema:
            schema.alter_db_table(MonitoredSession, "realtime_session_monitoredsession", "away")

    yield drop
    with editor() as schema:
        schema.alter_db_table(MonitoredSession, "away", "realtime_session_monitoredsession")


def test_without_the_store_nobody_is_served_as_logged_in(
    client: Client, no_store: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    no_store()
    response = client.get("/whoami/")
    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert Client().get("/whoami/").status_code == 200
    assert session_cookie(client) not in caplog.text


def test_without_the_store_availability_may_go_first(
    client: Client, no_store: Callable[[], None], settings: Any
) -> None:
    settings.REALTIME_SESSION = {"ON_STORE_ERROR": "allow"}
    no_store()
    assert client.get("/whoami/").json() == {"user": "anna", "ended": None}


async def test_an_async_project_is_served_alike(anna: AbstractUser) -> None:
    client = AsyncClient()
    await client.aforce_login(anna)
    assert (await client.get("/awhoami/")).json() == {"user": "anna", "ended": None}
    await aage(client, 900)
    assert (await client.get("/awhoami/")).json() == {"user": "", "ended": "idle"}
    response = await client.get("/members/", headers=FETCH)
    assert response.status_code == 302, "the cookie is gone: an anonymous request as any other"


def test_the_middleware_is_async_only_where_the_rest_is() -> None:
    async def get_response(request: Any) -> HttpResponse:
        return HttpResponse()

    assert iscoroutinefunction(SessionMonitorMiddleware(get_response))
    assert not iscoroutinefunction(SessionMonitorMiddleware(lambda request: None))


def test_a_preset_may_be_named(settings: Any, anna: AbstractUser, sign_in: SignIn) -> None:
    settings.REALTIME_SESSION = {"POLICY": "nist_aal3"}
    row = row_of(sign_in(anna))
    assert (row.idle_timeout, row.absolute_timeout) == (900, 12 * 3600)
