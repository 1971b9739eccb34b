"""What the Redis store may be told, and what it says to the rest before anything connects."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from realtime_session.stores.redis import RedisStore
from realtime_session.stores.redis.options import Options
from tests.test_checks import found

PAGE = Path(__file__).parents[2] / "docs/redis.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
BACKEND = "realtime_session.stores.redis.RedisStore"
URL = "redis://127.0.0.1:6379/0"
SENTINELS = [("10.0.0.1", 26379), ("10.0.0.2", 26379)]
NODES = [("10.0.0.1", 7000)]
GOOD = [
    {"url": URL},
    {"url": "rediss://user:secret@redis.example.com:6380/1?socket_timeout=1"},
    {"url": "unix:///run/redis.sock"},
    {"url": URL, "prefix": "mine", "timeout": 0.5, "max_connections": 10},
    {"url": URL, "connection": {"username": "me", "password": "secret"}},
    {"url": URL, "cluster": True},
    {"startup_nodes": NODES, "connection": {"ssl": True}},
    {"sentinels": SENTINELS, "service_name": "mymaster"},
    {
        "sentinels": SENTINELS,
        "service_name": "mymaster",
        "sentinel_kwargs": {"password": "secret"},
        "connection": {"db": 1},
    },
]
BAD = [
    ({}, "url, sentinels and startup_nodes"),
    ({"url": URL, "startup_nodes": NODES}, "url and startup_nodes"),
    ({"url": URL, "ulr": URL}, "ulr"),
    ({"url": "localhost:6379"}, "redis://"),
    ({"url": URL, "connection": {"pasword": "secret"}}, "pasword"),
    ({"startup_nodes": NODES, "connection": {"pasword": "secret"}}, "pasword"),
    ({"sentinels": SENTINELS}, "service_name"),
    ({"url": URL, "service_name": "mymaster"}, "service_name"),
    ({"sentinels": ["10.0.0.1:26379"], "service_name": "mymaster"}, "sentinels"),
    ({"startup_nodes": [("10.0.0.1", "7000")]}, "startup_nodes"),
    ({"url": URL, "timeout": 0}, "timeout"),
    ({"url": URL, "timeout": None}, "timeout"),
    ({"url": URL, "max_connections": 0}, "max_connections"),
    ({"url": URL, "prefix": ""}, "prefix"),
    ({"url": URL, "prefix": "{mine}"}, "prefix"),
]


def setting(options):
    return {"STORE": {"BACKEND": BACKEND, "OPTIONS": options}}


@pytest.mark.parametrize("options", GOOD)
def test_good_options_need_no_server(options):
    assert found(REALTIME_SESSION=setting(options)) == ([], [])
    assert RedisStore(**options).epoch == 0


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_of_the_page_are_good(example):
    given = {}
    exec(example, given)
    assert found(REALTIME_SESSION=given["REALTIME_SESSION"]) == ([], [])


def test_page_tells_every_option_with_its_default():
    rows = re.findall(r"^\| (`.*?`) \| (.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    told = {name: default for names, default in rows for name in re.findall(r"`(.*?)`", names)}
    defaults = {each.name: each.default for each in fields(Options)}
    assert told.keys() == {*defaults, "prefix"}
    for name in ("cluster", "timeout", "max_connections"):
        assert told[name] == f"`{defaults[name]}`"


@pytest.mark.parametrize(("options", "name"), BAD)
def test_bad_options_are_an_error_that_names_them(options, name):
    ids, [message] = found(REALTIME_SESSION=setting(options))
    assert ids == ["E003"]
    assert name in message.msg
    assert "secret" not in message.msg


def test_unknown_option_of_another_store_is_an_error_that_names_it():
    for backend in ("orm.ORMStore", "memory.MemoryStore"):
        store = {"BACKEND": f"realtime_session.stores.{backend}", "OPTIONS": {"usign": "other"}}
        ids, [message] = found(REALTIME_SESSION={"STORE": store})
        assert ids == ["E003"]
        assert "usign" in message.msg


def test_what_is_not_said_of_a_connection_is_bounded():
    options = Options(url=URL)
    arguments = options._arguments(lambda *_: None)
    assert arguments["socket_timeout"] == arguments["socket_connect_timeout"] == 2


def test_without_redis_py_the_error_names_the_extra():
    code = """
import sys
sys.modules["redis"] = None
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "realtime_session"])
django.setup()
try:
    import realtime_session.stores.redis
except ImportError as error:
    assert "django-realtime-session[redis]" in str(error), error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
