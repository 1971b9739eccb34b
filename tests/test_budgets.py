"""What the monitor costs a request: queries, session saves, cookies; with and without saves at each."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import AbstractUser
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from realtime_session.looks import looks
from tests.ages import age, sid_of

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[AbstractUser], Client]
PASSIVE = {"X-Session-Passive": "1"}


@pytest.fixture(params=[False, True], ids=["as-needed", "save-every-request"])
def saves_always(request: pytest.FixtureRequest, settings: object) -> bool:
    settings.SESSION_SAVE_EVERY_REQUEST = request.param
    return bool(request.param)


@pytest.fixture(params=[False, True], ids=["persistent", "browser-session"])
def client(
    request: pytest.FixtureRequest, anna: AbstractUser, sign_in: SignIn, settings: object
) -> Client:
    settings.SESSION_EXPIRE_AT_BROWSER_CLOSE = request.param
    return sign_in(anna)


class Cost:
    """What one request cost: the monitor's own queries, and saves of the Django session."""

    def __init__(self, client: Client, path: str, **headers: str) -> None:
        with CaptureQueriesContext(connection) as captured:
            self.response: HttpResponse = client.get(path, headers=headers)
        queries = [query["sql"] for query in captured]
        self.own = [sql for sql in queries if "realtime_session" in sql]
        self.saves = [sql for sql in queries if sql.startswith('UPDATE "django_session"')]
        self.others = [sql for sql in queries if sql not in self.own]


@pytest.mark.parametrize("headers", [{}, PASSIVE])
def test_an_ordinary_request_costs_one_query_and_none_within_the_look_window(
    client: Client, saves_always: bool, headers: dict[str, str]
) -> None:
    age(client, 60)
    first, second = Cost(client, "/whoami/", **headers), Cost(client, "/whoami/", **headers)
    assert len(first.own) == 1
    # A look that counted no activity does not answer for a request that may.
    assert len(second.own) == (1 if headers else 0)
    for cost in (first, second):
        assert len(cost.saves) == saves_always
        assert bool(cost.response.cookies) == saves_always


def test_a_request_that_leaves_its_session_alone_costs_nothing_within_the_look_window(
    client: Client, saves_always: bool
) -> None:
    Cost(client, "/whoami/")
    cost = Cost(client, "/untouched/")
    assert cost.own == []
    if not saves_always:
        assert cost.others == []


def test_an_anonymous_request_costs_nothing(db: None, saves_always: bool) -> None:
    for path in ("/untouched/", "/whoami/"):
        cost = Cost(Client(), path)
        assert cost.own == cost.others == []
        assert not cost.response.cookies


def test_somebody_anonymous_with_a_session_costs_nothing(db: None, saves_always: bool) -> None:
    client = Client()
    client.get("/write/")
    for _ in range(2):
        cost = Cost(client, "/whoami/")
        assert cost.own == []
        assert len(cost.saves) == saves_always


def test_a_save_is_noted_when_a_quarter_of_the_cookie_age_has_passed_and_not_before(
    client: Client, saves_always: bool, settings: object
) -> None:
    settings.SESSION_COOKIE_AGE = 400
    Cost(client, "/cycle/")
    age(client, 90)
    assert len(Cost(client, "/write/").own) == 2, "the touch, and a look before the save"
    age(client, 20)
    assert len(Cost(client, "/write/").own) == 3, "and the note"
    if saves_always:
        age(client, 110)
        assert len(Cost(client, "/whoami/").own) == 2
        assert len(Cost(client, "/whoami/").own) == 1, "the note dropped the look"
        assert Cost(client, "/whoami/").own == []


def test_only_login_refresh_and_the_end_send_a_cookie(client: Client) -> None:
    assert not client.get("/whoami/").cookies
    assert not client.get("/session/state/").cookies
    assert not client.post("/session/extend/").cookies
    assert client.post("/session/refresh/").cookies["sessionid"].value
    age(client, 901)
    assert client.get("/whoami/").cookies["sessionid"].value == ""


def test_a_session_that_ended_during_a_request_is_not_saved_at_its_end(
    client: Client, settings: object
) -> None:
    settings.SESSION_SAVE_EVERY_REQUEST = True
    for remembered in (False, True):
        client.login(username="anna", password="anna")
        if remembered:
            client.get("/whoami/")
            assert looks.recall(client.cookies["sessionid"].value) is not None
        answer = client.get("/end-elsewhere/", {"sid": sid_of(client)})
        # Where the view had not looked into its session, its answer is as good as ever.
        assert answer.status_code == (200 if remembered else 302)
        assert answer.cookies["sessionid"].value == ""
        assert client.get("/whoami/").json()["user"] == ""


@pytest.mark.parametrize("path", ["/whoami/", "/write/"])
def test_a_request_with_a_cookie_that_was_just_cycled_away_ends_nothing(
    client: Client, path: str
) -> None:
    client.get("/whoami/")
    late = Client()
    late.cookies["sessionid"] = client.cookies["sessionid"].value
    client.get("/cycle/")
    assert late.get(path).status_code == 200
    assert client.get("/whoami/").json() == {"user": "anna", "ended": None}
