import importlib
import os
import socket
import time

import httpx
import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.demo import demo, environment, serve
from tests.servers import free_port

ENGINES = ["db", "cache", "cached_db", "file", "signed_cookies"]


def sign_in(client: httpx.Client, name: str = "demo", password: str | None = None) -> None:
    client.get("/login/")
    form = {"username": name, "password": password or name}
    answer = post(client, "/login/", **form)
    assert answer.status_code == 302, answer.text
    assert answer.headers["Location"] == "/"


def post(client: httpx.Client, path: str, **form: str) -> httpx.Response:
    return client.post(path, data={**form, "csrfmiddlewaretoken": client.cookies["csrftoken"]})


@pytest.fixture(scope="module")
def shared_demo(tmp_path_factory):
    with demo(tmp_path_factory.mktemp("demo")) as client:
        yield client


@pytest.fixture
def visitor(shared_demo):
    """A new browser at a demo that others visit, too."""
    with httpx.Client(base_url=shared_demo.base_url) as client:
        yield client


@pytest.fixture
def load_settings(monkeypatch, tmp_path):
    def load(variables):
        with monkeypatch.context() as patch:
            for name in set(os.environ) - set(environment(tmp_path)):
                patch.delenv(name)
            for name, value in environment(tmp_path, **variables).items():
                patch.setenv(name, value)
            return importlib.reload(importlib.import_module("demo_site.settings"))

    return load


@pytest.mark.parametrize("engine", ENGINES)
def test_every_page_answers(tmp_path, engine):
    with demo(tmp_path, DEMO_SESSION_ENGINE=engine) as client:
        sign_in(client, "admin")
        for path in ["/", "/exam/", "/custom/", "/clock/", "/session/state/", "/admin/"]:
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert post(client, "/logout/").headers["Location"] == "/login/"
        assert client.get("/").headers["Location"] == "/login/?next=/"


@pytest.mark.parametrize("name", ["demo", "demo2", "admin"])
def test_sign_in_page_shows_accounts_that_work(visitor, name):
    page = visitor.get("/login/").text
    assert page.count(f"<code>{name}</code>") == 2
    sign_in(visitor, name)


def test_wrong_password_is_refused(visitor):
    visitor.get("/login/")
    answer = post(visitor, "/login/", username="demo", password="wrong")
    assert "do not match" in answer.text


def test_handing_in_counts_the_words(visitor):
    sign_in(visitor)
    visitor.get("/exam/")
    answer = post(visitor, "/exam/", answer="time is short")
    assert "3 words" in visitor.get(answer.headers["Location"]).text


@pytest.mark.parametrize(
    "path", ["demo_site/demo.css", "realtime_session/client.js", "admin/css/base.css"]
)
def test_static_files_are_served(visitor, path):
    assert visitor.get(f"/static/{path}").status_code == 200


def test_timeouts_come_from_the_environment(tmp_path):
    variables = {
        "DEMO_IDLE_TIMEOUT": "7200",
        "DEMO_WARN_BEFORE": "61.5",
        "DEMO_ABSOLUTE_TIMEOUT": "9000",
    }
    with demo(tmp_path, **variables) as client:
        footer = client.get("/login/").text.partition("<footer>")[2]
        assert all(value in footer for value in variables.values())
        sign_in(client)
        state = client.get("/session/state/").json()
    assert state["idle_timeout"] == 7200
    assert state["warn_before"] == 61.5
    assert state["absolute_expires_in"] == pytest.approx(9000, abs=5)


def test_restart_keeps_sessions_and_accounts(tmp_path):
    with demo(tmp_path) as client:
        sign_in(client)
        cookies = dict(client.cookies)
    with demo(tmp_path) as client:
        client.cookies.update(cookies)
        assert client.get("/").status_code == 200


def test_idle_session_ends_and_the_sign_in_page_says_why(tmp_path):
    with demo(tmp_path, DEMO_IDLE_TIMEOUT="1") as client:
        sign_in(client)
        time.sleep(1.1)
        answer = client.get("/exam/")
        assert answer.headers["Location"] == "/login/?next=/exam/"
        assert 'class="warning"' in client.get(answer.headers["Location"]).text


@pytest.mark.parametrize(
    ("variables", "warn_before"),
    [
        ({}, 45),
        ({"DEMO_IDLE_TIMEOUT": "3600"}, 45),
        ({"DEMO_IDLE_TIMEOUT": "20"}, 10),
        ({"DEMO_IDLE_TIMEOUT": "", "DEMO_ABSOLUTE_TIMEOUT": "30"}, 15),
        ({"DEMO_WARN_BEFORE": "60"}, 60),
    ],
)
def test_warning_fits_the_timeouts(load_settings, variables, warn_before):
    assert load_settings(variables).REALTIME_SESSION["WARN_BEFORE"] == warn_before


def test_tab_close_grace_is_set_where_wanted(load_settings):
    assert load_settings({}).REALTIME_SESSION["TAB_CLOSE_GRACE"] is None
    assert load_settings({"DEMO_TAB_CLOSE_GRACE": "33"}).REALTIME_SESSION["TAB_CLOSE_GRACE"] == 33


@pytest.mark.parametrize(
    ("host", "allowed"),
    [("", "localhost"), ("demo.example", "demo.example"), ("0.0.0.0", "*"), ("::", "*")],
)
def test_host_is_allowed(load_settings, host, allowed):
    assert allowed in load_settings({"HOST": host}).ALLOWED_HOSTS


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DEMO_IDLE_TIMEOUT", "soon"),
        ("DEMO_IDLE_TIMEOUT", "0"),
        ("DEMO_WARN_BEFORE", "-1"),
        ("DEMO_ABSOLUTE_TIMEOUT", "inf"),
        ("DEMO_TAB_CLOSE_GRACE", "nan"),
        ("DEMO_SESSION_ENGINE", "redis"),
        ("PORT", "http"),
        ("PORT", "70000"),
    ],
)
def test_bad_value_is_named(load_settings, variable, value):
    with pytest.raises(ImproperlyConfigured, match=f"^{variable}={value} is not "):
        load_settings({variable: value})


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("PORT", "http", "PORT"),
        ("HOST", "192.0.2.1", "HOST"),
        ("DEMO_WARN_BEFORE", "100", "WARN_BEFORE"),
    ],
)
def test_serve_refuses_bad_values_in_plain_words(tmp_path, variable, value, named):
    answer = serve(tmp_path, **{"PORT": str(free_port()), variable: value})
    assert answer.returncode == 1
    assert named in answer.stderr
    assert "Traceback" not in answer.stderr


def test_serve_names_a_taken_port(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        answer = serve(tmp_path, PORT=port)
    assert answer.returncode == 1
    assert f"port {port}: Address already in use" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
