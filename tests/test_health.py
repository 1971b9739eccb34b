"""Probes: they hear in time what is wrong, touch nothing, and need no leave."""

import asyncio
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import AbstractUser
from django.test import AsyncClient, Client, override_settings

from realtime_session import health
from realtime_session.models import MonitoredSession
from tests.redis_server import RedisServer, redis_server
from tests.servers import Server, free_port
from tests.test_servers import every_server

Start = Callable[..., Server]
LATE = 1.5
"""Seconds that an answer may take longer on a busy machine."""


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@every_server
def test_probes_are_answered_by_every_server(start: Start, name: str) -> None:
    server = start(name)
    with httpx.Client(base_url=server.url) as probe:
        assert probe.get("/health/live/").json() == {"status": "live"}
        answer = probe.get("/health/ready/")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "store": "ok", "channel_layer": "none"}
    assert "set-cookie" not in answer.headers
    assert "no-store" in answer.headers["cache-control"]


@pytest.mark.django_db(transaction=True)
async def test_probes_are_answered_among_async_views() -> None:
    probe = AsyncClient()
    assert (await probe.get("/health/live/")).json()["status"] == "live"
    assert (await probe.get("/health/ready/")).json()["status"] == "ready"


@pytest.mark.django_db(transaction=True)
def test_live_asks_nobody(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert Client().get("/health/live/").status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/health/live/", "/health/ready/"])
def test_probes_need_no_login_and_take_no_form(path: str) -> None:
    with override_settings(
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.auth.middleware.LoginRequiredMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "realtime_session.middleware.SessionMonitorMiddleware",
        ]
    ):
        assert Client().get(path).status_code == 200
        assert Client().head(path).status_code == 200
        assert Client().post(path).status_code == 405


@pytest.mark.parametrize("path", ["/health/live/", "/health/ready/", "/metrics/"])
def test_probes_are_no_activity(
    anna: AbstractUser, sign_in: Callable[[AbstractUser], Client], path: str
) -> None:
    client = sign_in(anna)
    client.get("/whoami/")
    MonitoredSession.objects.update(last_activity_at=time.time() - 100)
    before = MonitoredSession.objects.get().last_activity_at
    assert client.get(path).status_code == 200
    assert MonitoredSession.objects.get().last_activity_at == before


def test_store_that_fails_makes_unready_and_says_no_more_than_its_name(start: Start) -> None:
    server = start("uvicorn")
    server.sql("ALTER TABLE realtime_session_monitoredsession RENAME TO lost")
    answer = httpx.get(f"{server.url}/health/ready/")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unready",
        "store": "StoreUnavailable",
        "channel_layer": "none",
    }
    assert httpx.get(f"{server.url}/health/live/").status_code == 200


def test_store_that_hangs_makes_unready_in_time(start: Start, redis: RedisServer) -> None:
    store = {"BACKEND": "realtime_session.stores.redis.RedisStore", "OPTIONS": {"url": redis.url}}
    server = start("uvicorn", {"STORE": store})
    with httpx.Client(base_url=server.url, timeout=10) as probe:
        assert probe.get("/health/ready/").json()["status"] == "ready"
        assert redis._process is not None
        redis._process.send_signal(signal.SIGSTOP)
        try:
            for _ in range(2):
                asked_at = time.monotonic()
                answer = probe.get("/health/ready/")
                assert time.monotonic() - asked_at < health.READY_WITHIN + LATE
                assert answer.status_code == 503
                assert answer.json()["store"] != "ok"
            assert probe.get("/health/live/").status_code == 200
        finally:
            redis._process.send_signal(signal.SIGCONT)
        give_up_at = time.monotonic() + 20
        while probe.get("/health/ready/").status_code == 503:
            assert time.monotonic() < give_up_at
            time.sleep(0.2)


@pytest.mark.django_db(transaction=True)
def test_layer_that_crosses_processes_is_asked(redis: RedisServer) -> None:
    with override_settings(CHANNEL_LAYERS=layers(redis.port)):
        answer = Client().get("/health/ready/")
    assert answer.json() == {"status": "ready", "store": "ok", "channel_layer": "ok"}


@pytest.mark.django_db(transaction=True)
def test_layer_that_fails_is_degraded_and_no_reason_to_send_people_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with override_settings(CHANNEL_LAYERS=layers(free_port())):
        answer = Client().get("/health/ready/")
    assert answer.status_code == 200
    found = json.loads(answer.content)
    assert found["status"] == "degraded"
    assert "Error" in found["channel_layer"]
    [record] = caplog.records
    assert (record.event, record.status) == ("not_ready", "degraded")


def layers(port: int) -> dict[str, Any]:
    return {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [("127.0.0.1", port)]},
        }
    }


@pytest.fixture
def question() -> Iterator[health.Question]:
    """One that is answered when ``may_answer`` is set; it counts in ``asked`` how often."""
    asked, is_asked, may_answer = [], threading.Event(), threading.Event()

    def ask() -> str:
        asked.append(1)
        is_asked.set()
        may_answer.wait()
        return "ok"

    question: Any = health.Question("tests", ask)
    question.asked, question.is_asked, question.may_answer = asked, is_asked, may_answer
    yield question
    may_answer.set()


async def test_question_is_not_asked_anew_while_it_is_under_way(
    question: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as hasty:
        hasty.setattr(health, "READY_WITHIN", 0.01)
        assert await question.answer() == "no answer within 0.01 s"
    first, second = (asyncio.create_task(question.answer()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    question.may_answer.set()
    assert await second == "ok"
    assert len(question.asked) == 1
    assert await question.answer() == "ok"
    assert len(question.asked) == 2


def test_question_outlives_the_loop_that_asked_it(
    question: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As under WSGI, where each probe has a loop of its own.
    with monkeypatch.context() as hasty:
        hasty.setattr(health, "READY_WITHIN", 0.01)
        asyncio.run(question.answer())
    question.may_answer.set()
    assert asyncio.run(question.answer()) == "ok"


@pytest.mark.django_db(transaction=True)
async def test_probe_that_waits_holds_no_thread_that_views_need(
    question: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_layer", question)
    probe = asyncio.create_task(AsyncClient().get("/health/ready/"))
    # Its middleware has run, on the thread that all sync views share where the server gives them one only.
    assert await asyncio.to_thread(question.is_asked.wait, 10)
    assert (await AsyncClient().get("/whoami/")).status_code == 200
    assert (await AsyncClient().get("/health/live/")).status_code == 200
    assert not probe.done()
    question.may_answer.set()
    assert (await probe).json()["channel_layer"] == "ok"
