import math
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from realtime_session import conf
from realtime_session.policy import PRESETS, Policy
from realtime_session.values import StoreSetting

DURATIONS = [
    "IDLE_TIMEOUT", "WARN_BEFORE", "ABSOLUTE_TIMEOUT", "TAB_CLOSE_GRACE", "SWEEP_INTERVAL",
]  # fmt: skip
OPTIONAL = [
    "ABSOLUTE_TIMEOUT", "TAB_CLOSE_GRACE", "POLICY", "ALLOWED_ORIGINS", "WEBSOCKET_URL",
    "LOGOUT_URL", "CHANNEL_LAYER",
]  # fmt: skip


def some_policy(request):
    return Policy()


def given(**values):
    return override_settings(REALTIME_SESSION=values)


def value_of(key, value):
    with given(**{key: value}):
        return getattr(conf.current(), key.lower())


def test_nothing_given_means_the_documented_defaults():
    with given():
        assert conf.current() == conf.Settings()
        assert conf.current().default_policy == Policy(900, 120, None, None, False)
        assert conf.problems() == []


def test_setting_may_be_missing_altogether(settings):
    del settings.REALTIME_SESSION
    assert conf.current() == conf.Settings()


def test_every_key_is_a_field_with_a_reader_and_a_hint():
    fields = {name.upper() for name in conf.Settings.__dataclass_fields__}
    assert fields == set(conf._KEYS)
    assert all(key.hint.endswith(".") for key in conf._KEYS.values())


@pytest.mark.parametrize("key", DURATIONS)
@pytest.mark.parametrize(
    ("value", "seconds"),
    [(500, 500.0), (500.5, 500.5), (timedelta(minutes=8, seconds=20), 500.0), (10**9, 1e9)],
)
def test_duration_is_seconds_as_a_number_or_a_timedelta(key, value, seconds):
    with given(**{"IDLE_TIMEOUT": 10**10, "WARN_BEFORE": 1, key: value}):
        found = getattr(conf._read()[0], key.lower())
    assert found == seconds
    assert isinstance(found, float)


def test_timedelta_of_days_is_not_cut_to_a_day():
    assert value_of("ABSOLUTE_TIMEOUT", timedelta(days=2)) == 172_800


@pytest.mark.parametrize("key", DURATIONS)
@pytest.mark.parametrize(
    "value",
    [0, -1, 0.0, math.inf, math.nan, True, "900", b"900", [900], timedelta(0), timedelta(-1)],
    ids=repr,
)
def test_what_is_no_positive_duration_is_refused_by_name(key, value):
    assert_refused(key, value)


@pytest.mark.parametrize("key", OPTIONAL)
def test_optional_keys_may_be_none(key):
    assert value_of(key, None) is None


@pytest.mark.parametrize("key", sorted(set(conf._KEYS) - set(OPTIONAL)))
def test_other_keys_may_not_be_none(key):
    assert_refused(key, None)


@pytest.mark.parametrize("key", ["ACTIVITY_EXTENDS_IN_WARNING", "RECORD_CLIENT"])
def test_booleans_are_true_or_false_and_nothing_like_it(key):
    assert value_of(key, True) is True
    assert value_of(key, False) is False
    for value in (0, 1, "yes", "", []):
        assert_refused(key, value)


@pytest.mark.parametrize("key", ["CHANNEL_LAYER", "WEBSOCKET_URL", "LOGOUT_URL"])
def test_texts_are_not_empty(key):
    assert value_of(key, "/x/") == "/x/"
    for value in ("", 1, b"/x/", ["/x/"]):
        assert_refused(key, value)


def test_policy_is_a_callable_by_its_path():
    assert value_of("POLICY", f"{__name__}.some_policy") is some_policy
    for value in ("", "some_policy", f"{__name__}.missing", f"{__name__}.DURATIONS", some_policy):
        assert_refused("POLICY", value)


@pytest.mark.parametrize("name", PRESETS)
def test_policy_may_be_the_name_of_a_preset(name):
    assert value_of("POLICY", name) == PRESETS[name]


def test_passive_urls_are_regular_expressions():
    [pattern] = value_of("PASSIVE_URLS", [r"^/poll/\d+$"])
    assert pattern == re.compile(r"^/poll/\d+$")
    assert value_of("PASSIVE_URLS", ()) == ()
    for value in ("^/poll/", [1], ["("], 5):
        assert_refused("PASSIVE_URLS", value)


def test_passive_url_names_are_a_set_of_names():
    assert value_of("PASSIVE_URL_NAMES", ["poll", "app:poll"]) == {"poll", "app:poll"}
    for value in ("poll", [1], 5):
        assert_refused("PASSIVE_URL_NAMES", value)


def test_store_has_a_backend_and_options():
    default = conf.Settings().store
    assert value_of("STORE", {}) == default
    assert value_of("STORE", {"OPTIONS": {"using": "other"}}).options == {"using": "other"}
    memory = "realtime_session.stores.memory.MemoryStore"
    assert value_of("STORE", {"BACKEND": memory}) == StoreSetting(memory, {})
    for value in (
        memory,
        {"BACKEND": ""},
        {"BACKEND": "nowhere.Store"},
        {"BACKEND": f"{__name__}.DURATIONS"},
        {"BACKEND": memory, "OPTIONS": ["x"]},
        {"BACKEND": memory, "Options": {}},
        5,
    ):
        assert_refused("STORE", value)


def test_store_error_is_answered_by_deny_or_allow():
    assert value_of("ON_STORE_ERROR", "deny") == "deny"
    assert value_of("ON_STORE_ERROR", "allow") == "allow"
    for value in ("Deny", "", True, ["deny"]):
        assert_refused("ON_STORE_ERROR", value)


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com",
        "http://localhost:8000",
        "https://*.example.com",
        "https://[::1]:8000",
    ],
)
def test_origin_is_scheme_host_and_port(origin):
    assert value_of("ALLOWED_ORIGINS", [origin]) == (origin,)


def test_origins_are_compared_in_lower_case():
    assert value_of("ALLOWED_ORIGINS", ["HTTPS://Example.COM"]) == ("https://example.com",)


@pytest.mark.parametrize(
    "value",
    [
        "https://example.com",
        ["example.com"],
        ["//example.com"],
        ["https://example.com/"],
        ["https://example.com/path"],
        ["https://example.com?x"],
        ["https://"],
        ["wss://example.com"],
        ["*"],
        ["null"],
        [""],
        [None],
        5,
    ],
    ids=repr,
)
def test_what_is_no_origin_is_refused(value):
    assert_refused("ALLOWED_ORIGINS", value)


def test_number_of_tabs_is_a_whole_number_from_one_on():
    assert value_of("MAX_TABS", 1) == 1
    for value in (0, -1, 1.0, True, "5"):
        assert_refused("MAX_TABS", value)


def assert_refused(key, value):
    with given(**{key: value}):
        [problem] = conf.problems()
        assert problem.check_id == "E003"
        assert f"REALTIME_SESSION[{key!r}] is not valid: " in problem.message
        assert problem.hint == conf._KEYS[key].hint
        with pytest.raises(ImproperlyConfigured, match=re.escape(f"REALTIME_SESSION[{key!r}]")):
            conf.current()


@pytest.mark.parametrize("key", ["IDLE_TIME", "idle_timeout", "", 5])
def test_unknown_key_is_named_together_with_the_known_ones(key):
    with override_settings(REALTIME_SESSION={key: 5}):
        [problem] = conf.problems()
        assert problem.check_id == "E002"
        assert repr(key) in problem.message
        assert "IDLE_TIMEOUT" in problem.hint
        with pytest.raises(ImproperlyConfigured):
            conf.current()


@pytest.mark.parametrize("value", [None, [], "x", 5])
def test_setting_that_is_no_dictionary_is_refused(value):
    with override_settings(REALTIME_SESSION=value):
        assert [problem.check_id for problem in conf.problems()] == ["E001"]
        with pytest.raises(ImproperlyConfigured):
            conf.current()


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"IDLE_TIMEOUT": 120}, "IDLE_TIMEOUT"),
        ({"IDLE_TIMEOUT": 60}, "IDLE_TIMEOUT"),
        ({"WARN_BEFORE": 900}, "IDLE_TIMEOUT"),
        ({"ABSOLUTE_TIMEOUT": 120}, "ABSOLUTE_TIMEOUT"),
    ],
)
def test_timeout_within_the_warning_is_refused(values, key):
    with given(**values):
        [problem] = conf.problems()
    assert problem.check_id == "E004"
    assert f"REALTIME_SESSION[{key!r}]" in problem.message


def test_timeout_just_longer_than_the_warning_is_fine():
    with given(IDLE_TIMEOUT=120.001, ABSOLUTE_TIMEOUT=120.001):
        assert conf.problems() == []


def test_every_fault_is_told_at_once():
    with given(IDLE_TIMEOUT=0, MAX_TABS=0, IDLE=1):
        assert [problem.check_id for problem in conf.problems()] == ["E003", "E003", "E002"]
        with pytest.raises(ImproperlyConfigured, match=r"IDLE_TIMEOUT.*MAX_TABS.*'IDLE'"):
            conf.current()


def test_settings_are_read_when_they_are_needed():
    with given(IDLE_TIMEOUT=500):
        assert conf.current().idle_timeout == 500
        with given(IDLE_TIMEOUT=600):
            assert conf.current().idle_timeout == 600
        assert conf.current().idle_timeout == 500


def test_settings_that_did_not_change_are_not_read_again():
    assert conf.current() is conf.current()


def test_default_policy_is_made_of_the_settings():
    with given(
        IDLE_TIMEOUT=500,
        WARN_BEFORE=50,
        ABSOLUTE_TIMEOUT=5000,
        TAB_CLOSE_GRACE=5,
        ACTIVITY_EXTENDS_IN_WARNING=True,
    ):
        assert conf.current().default_policy == Policy(500, 50, 5000, 5, True)


def test_nothing_else_reads_the_setting():
    package = Path(conf.__file__).parent
    readers = [
        path.name
        for path in package.rglob("*.py")
        if re.search(
            r"settings\.REALTIME_SESSION|settings, SETTING|\"REALTIME_SESSION\"", path.read_text()
        )
    ]
    assert readers == ["conf.py"]
