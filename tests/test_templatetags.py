"""``{% session_monitor %}``: what it puts on a page, for whom."""

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpResponse
from django.template import Context, Template
from django.test import RequestFactory
from django.urls import include, path
from django.utils.functional import SimpleLazyObject


def view(request: Any) -> HttpResponse:
    return HttpResponse()


SESSION_URLS = path("session/", include("realtime_session.urls"))
LOGOUT = (path("out/", view, name="logout"),)
ACCOUNT_LOGOUT = (path("account-out/", view, name="account_logout"), SESSION_URLS)
NOTHING = ()


@pytest.fixture(autouse=True)
def site(settings: Any) -> None:
    settings.ROOT_URLCONF = ACCOUNT_LOGOUT


def render(arguments: str = "", user: Any = None, request: Any = None, **context: Any) -> str:
    request = request or RequestFactory().get("/")
    request.user = user or User(username="anna")
    template = Template(f"{{% load realtime_session %}}{{% session_monitor {arguments} %}}")
    return template.render(Context({"request": request, **context})).strip()


def config_in(page: str) -> Any:
    found = re.search(r'<script id="realtime-session-config" [^>]*>(.*?)</script>', page)
    assert found
    return json.loads(found[1])


def sign_out_form(page: str) -> str:
    found = re.search(r"<form [^>]*>", page)
    assert found
    return found[0]


def test_nothing_for_anonymous_users() -> None:
    assert render(user=AnonymousUser()) == ""


def test_nothing_without_a_request_in_the_context() -> None:
    template = Template("{% load realtime_session %}{% session_monitor %}")
    assert template.render(Context()).strip() == ""


def test_nothing_without_the_authentication_middleware() -> None:
    template = Template("{% load realtime_session %}{% session_monitor %}")
    assert template.render(Context({"request": RequestFactory().get("/")})).strip() == ""


def test_configuration() -> None:
    assert config_in(render()) == {
        "socket": "/ws/session/",
        "state": "/session/state/",
        "extend": "/session/extend/",
        "client": "/static/realtime_session/client.js",
    }


def test_configuration_without_the_urls(settings: Any) -> None:
    settings.ROOT_URLCONF = NOTHING
    config = config_in(render())
    assert (config["state"], config["extend"]) == (None, None)


def test_configuration_without_a_socket(settings: Any) -> None:
    settings.REALTIME_SESSION = {"WEBSOCKET_URL": None}
    assert config_in(render())["socket"] is None


def test_only_what_a_front_end_of_ones_own_needs() -> None:
    page = render("dialog=False")
    assert config_in(page)
    assert re.search(r'<input type="hidden" id="realtime-session-csrf" value="\w{64}">', page)
    assert page.count("<") == page.count("<script") * 2 + 1


def test_sign_out_posts_to_the_given_url_first_then_the_setting_then_a_known_name(
    settings: Any,
) -> None:
    assert 'action="/account-out/"' in sign_out_form(render())
    settings.ROOT_URLCONF = LOGOUT
    assert 'action="/out/"' in sign_out_form(render())
    settings.REALTIME_SESSION = {"LOGOUT_URL": "/set/"}
    assert 'action="/set/"' in sign_out_form(render())
    assert 'action="/given/"' in sign_out_form(render("logout_url='/given/'"))


def test_sign_out_without_any_url_is_left_to_the_socket(settings: Any) -> None:
    settings.ROOT_URLCONF = NOTHING
    assert "action" not in sign_out_form(render())


@pytest.mark.parametrize("where", ["context", "request"])
def test_the_nonce_is_rendered_although_it_is_lazy_and_looks_false(where: str) -> None:
    class Nonce(SimpleLazyObject):
        def __bool__(self) -> bool:
            return False

    nonce = Nonce(lambda: "abc123")
    request = RequestFactory().get("/")
    if where == "request":
        request.csp_nonce = nonce  # type: ignore[attr-defined]
        page = render(request=request)
    else:
        page = render(request=request, csp_nonce=nonce)
    assert page.count('nonce="abc123"') == 2


def test_no_nonce_where_there_is_none() -> None:
    assert "nonce" not in render(csp_nonce=None)


def test_no_inline_script_or_style() -> None:
    page = render()
    assert "style=" not in page
    assert "<style" not in page
    scripts = re.findall(r"<script [^>]*>", page)
    assert [("application/json" in script) or ("src=" in script) for script in scripts] == [
        True,
        True,
    ]


def test_what_is_spoken_is_whole_sentences() -> None:
    marks = re.findall(r'<li value="(\d+)">(.*?)</li>', render())
    assert dict(marks) == {
        "600": "10 minutes left",
        "300": "5 minutes left",
        "120": "2 minutes left",
        "60": "1 minute left",
        "30": "30 seconds left",
        "10": "10 seconds left",
    }
