import io

import pytest
from django.conf.urls.i18n import i18n_patterns
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db.backends.sqlite3.base import Database
from django.test import override_settings
from django.urls import path, set_script_prefix

from realtime_session.checks import MIDDLEWARE, check_surroundings
from tests.project import views
from tests.project.urls import urlpatterns as patterns_of_project

SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
MESSAGES = "django.contrib.messages.middleware.MessageMiddleware"
MEMORY_STORE = "realtime_session.stores.memory.MemoryStore"
urlpatterns = [*patterns_of_project, *i18n_patterns(path("members/", views.members))]
IN_ORDER = [SESSIONS, AUTHENTICATION, MESSAGES, MIDDLEWARE]


def found(**settings):
    """The ids of the package's own messages under the settings, and the messages."""
    with override_settings(**settings):
        messages = [m for m in run_checks() if m.id.startswith("realtime_session.")]
    assert all(message.hint for message in messages)
    messages.sort(key=lambda message: message.id)
    return [message.id.partition(".")[2] for message in messages], messages


def test_project_in_order_hears_nothing():
    assert found() == ([], [])
    assert found(MIDDLEWARE=IN_ORDER)[0] == []


@pytest.mark.parametrize(
    ("setting", "id"),
    [
        (["not", "a", "dictionary"], "E001"),
        ({"IDEL_TIMEOUT": 5}, "E002"),
        ({"IDLE_TIMEOUT": "5"}, "E003"),
        ({"IDLE_TIMEOUT": 100}, "E004"),
    ],
)
def test_bad_setting_is_an_error(setting, id):
    ids, [message] = found(REALTIME_SESSION=setting)
    assert ids == [id]
    assert "REALTIME_SESSION" in message.msg


def test_each_bad_key_has_an_error_of_its_own():
    assert found(REALTIME_SESSION={"IDLE_TIMEOUT": 0, "MAX_TABS": 0})[0] == ["E003", "E003"]


@pytest.mark.parametrize(("warn_before", "ids"), [(19.999, ["W001"]), (20, []), (20.001, [])])
def test_warning_too_short_for_people_is_a_warning(warn_before, ids):
    assert found(REALTIME_SESSION={"WARN_BEFORE": warn_before})[0] == ids


@pytest.mark.parametrize(("cookie_age", "ids"), [(899, ["W002"]), (900, []), (901, [])])
def test_session_cookie_that_lapses_before_the_timeout_is_a_warning(cookie_age, ids):
    assert found(SESSION_COOKIE_AGE=cookie_age)[0] == ids


def test_missing_middleware_is_an_error():
    assert found(MIDDLEWARE=IN_ORDER[:-1])[0] == ["E005"]


@pytest.mark.parametrize(
    ("middleware", "names"),
    [
        ([AUTHENTICATION, MESSAGES, MIDDLEWARE], [SESSIONS]),
        ([SESSIONS, MIDDLEWARE, AUTHENTICATION, MESSAGES], [AUTHENTICATION, MESSAGES]),
        ([SESSIONS, AUTHENTICATION, MIDDLEWARE, MESSAGES], [MESSAGES]),
        ([SESSIONS, AUTHENTICATION, MIDDLEWARE], []),
        ([MIDDLEWARE], [SESSIONS, AUTHENTICATION]),
    ],
)
def test_middleware_in_the_wrong_place_is_an_error_for_each_that_must_come_before(
    middleware, names
):
    ids, messages = found(MIDDLEWARE=middleware)
    assert ids == ["E006"] * len(names)
    for name, message in zip(names, messages, strict=True):
        assert name in message.msg


def test_missing_app_is_an_error():
    without = ["django.contrib.contenttypes", "django.contrib.auth", "realtime_session"]
    with override_settings(INSTALLED_APPS=without):
        [message] = check_surroundings()
    assert message.id == "realtime_session.E007"
    assert "django.contrib.sessions" in message.msg
    assert message.hint


@pytest.mark.parametrize("application", [None, ""])
def test_missing_asgi_application_is_a_warning(application):
    assert found(ASGI_APPLICATION=application)[0] == ["W003"]


def test_project_without_sockets_needs_no_asgi_application():
    assert found(ASGI_APPLICATION=None, REALTIME_SESSION={"WEBSOCKET_URL": None})[0] == []


@pytest.mark.parametrize(("version", "ids"), [((3, 34, 9), ["E008"]), ((3, 35, 0), [])])
def test_sqlite_that_cannot_return_what_it_updates_is_an_error(monkeypatch, version, ids):
    # No machine has both: the version is told, not run.
    monkeypatch.setattr(Database, "sqlite_version_info", version)
    assert found()[0] == ids
    assert found(REALTIME_SESSION={"STORE": {"BACKEND": MEMORY_STORE}})[0] == []


@pytest.mark.parametrize(
    "url",
    [
        *("/login/", "/login", "/login/?by=password", "login", "admin:login", "/admin/login/"),
        *("https://accounts.example.com/login/", "//accounts.example.com/", "./login/"),
        *("/de/members/", "/members/"),
    ],
)
def test_login_url_that_leads_somewhere_is_fine(url):
    assert found(LOGIN_URL=url, ROOT_URLCONF=__name__)[0] == []


@pytest.mark.parametrize("url", ["/accounts/login/", "sign-in", "admin:sign-in", "/xx/members/"])
def test_login_url_that_leads_nowhere_is_a_warning(url):
    ids, [message] = found(LOGIN_URL=url, ROOT_URLCONF=__name__)
    assert ids == ["W005"]
    assert repr(url) in message.msg


def test_login_url_of_another_application_of_the_host_is_not_judged():
    set_script_prefix("/shop/")
    try:
        assert found(LOGIN_URL="/accounts/login/")[0] == []
        assert found(LOGIN_URL="/shop/login/")[0] == []
        assert found(LOGIN_URL="/shop/sign-in/")[0] == ["W005"]
    finally:
        set_script_prefix("/")


def test_bad_settings_do_not_stop_the_other_checks():
    ids, _ = found(REALTIME_SESSION={"MAX_TABS": 0}, MIDDLEWARE=[])
    assert ids == ["E003", "E005"]


def test_manage_check_stops_with_the_error_and_its_hint():
    with (
        override_settings(REALTIME_SESSION={"IDEL_TIMEOUT": 5}),
        pytest.raises(SystemCheckError, match=r"realtime_session\.E002(.|\n)*HINT: The keys are"),
    ):
        call_command("check")


def test_manage_check_prints_warnings_and_goes_on():
    output = io.StringIO()
    with override_settings(REALTIME_SESSION={"WARN_BEFORE": 5}):
        call_command("check", stderr=output)
    assert "realtime_session.W001" in output.getvalue()


def found_before_deployment(**settings):
    """The ids that ``check --deploy`` adds."""
    with override_settings(**settings):
        messages = [
            m
            for m in run_checks(include_deployment_checks=True)
            if m.id.startswith("realtime_session.")
        ]
    assert all(message.hint for message in messages)
    return sorted(message.id.partition(".")[2] for message in messages)


REDIS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}}
IN_MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
MEMORY = {"STORE": {"BACKEND": "realtime_session.stores.memory.MemoryStore"}}


@pytest.mark.parametrize(
    ("settings", "ids"),
    [
        ({"CHANNEL_LAYERS": REDIS}, []),
        ({"CHANNEL_LAYERS": IN_MEMORY}, ["W007"]),
        ({"CHANNEL_LAYERS": {}}, ["W007"]),
        (
            {"CHANNEL_LAYERS": {**REDIS, "own": IN_MEMORY["default"]}}
            | {"REALTIME_SESSION": {"CHANNEL_LAYER": "own"}},
            ["W007"],
        ),
        ({"CHANNEL_LAYERS": IN_MEMORY, "REALTIME_SESSION": {"WEBSOCKET_URL": None}}, []),
        ({"CHANNEL_LAYERS": REDIS, "REALTIME_SESSION": MEMORY}, ["W006"]),
        ({"CHANNEL_LAYERS": IN_MEMORY, "REALTIME_SESSION": MEMORY}, ["W006", "W007"]),
    ],
)
def test_what_is_for_one_process_only_is_a_warning_before_deployment(settings, ids):
    assert found_before_deployment(**settings) == ids
    assert found(**settings)[0] == []


def test_bad_settings_are_all_that_is_heard_of_them_before_deployment():
    assert found_before_deployment(REALTIME_SESSION={"MAX_TABS": 0}) == ["E003"]
