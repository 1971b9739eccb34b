"""Many at once on one session: one end, no extension after it, and no write that is lost."""

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AbstractUser
from django.db import connection
from django.test import Client

from realtime_session import monitor
from realtime_session.looks import looks
from realtime_session.models import MonitoredSession
from realtime_session.policy import Phase, evaluate
from tests.ages import age, sid_of

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[AbstractUser], Client]
Ends = list[dict[str, Any]]
THREADS = 50
FETCH = {"Sec-Fetch-Mode": "cors"}


@pytest.fixture(autouse=True)
def patient_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite lets its writers wait without any order: on a busy machine one may be unlucky for long."""
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 60)


def copy_of(client: Client) -> Client:
    copy = Client(raise_request_exception=False)
    copy.cookies["sessionid"] = client.cookies["sessionid"].value
    return copy


def at_once(jobs: list[Callable[[], Any]]) -> list[Any]:
    """What the jobs return, each in a thread of its own, all of which begin together."""
    results: list[Any] = [None] * len(jobs)
    start = threading.Barrier(len(jobs))

    def work(number: int) -> None:
        start.wait()
        try:
            results[number] = jobs[number]()
        except Exception as error:
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_fifty_threads_of_the_api_end_a_session_once_and_extend_it_never_after(
    client: Client, ends: Ends
) -> None:
    sid = age(client, 300)
    ended = threading.Event()
    extended_too_late = []

    def end() -> bool:
        time.sleep(random.uniform(0, 0.2))
        won = monitor.end_session(sid)
        ended.set()
        return won

    def extend() -> None:
        for _ in range(5):
            was_over = ended.is_set()
            status = monitor.extend_session(sid)
            if was_over and status is not None:
                extended_too_late.append(status)

    def touch() -> None:
        for _ in range(5):
            was_over = ended.is_set()
            now, record = monitor.touch(sid)
            if was_over and (record is None or evaluate(record, now).phase is not Phase.ENDED):
                extended_too_late.append(record)

    jobs: list[Callable[[], Any]] = [end] * 10 + [extend] * 20 + [touch] * 20
    random.shuffle(jobs)
    assert len(jobs) == THREADS
    results = at_once(jobs)
    assert [result for result in results if isinstance(result, Exception)] == []
    assert results.count(True) == 1
    assert extended_too_late == []
    row = MonitoredSession.objects.get()
    assert row.last_activity_at <= row.ended_at
    assert [(each["sid"], each["reason"], each["at"]) for each in ends] == [
        (sid, "revoked", row.ended_at)
    ]
    before = row.last_activity_at
    assert monitor.extend_session(sid) is None
    assert MonitoredSession.objects.get().last_activity_at == before


def test_fifty_requests_and_a_logout_end_a_session_once_and_none_fails(
    client: Client, ends: Ends
) -> None:
    sid = age(client, 300)
    copies = [copy_of(client) for _ in range(THREADS)]
    paths = ["/whoami/", "/write/", "/untouched/", "/session/state/"]

    def visit(copy: Client, path: str) -> list[int]:
        return [copy.get(path, headers=FETCH).status_code for _ in range(3)]

    def extend(copy: Client) -> list[int]:
        return [copy.post("/session/extend/").status_code for _ in range(3)]

    def sign_out(copy: Client) -> list[int]:
        time.sleep(0.1)
        return [copy.post("/logout/").status_code]

    jobs: list[Callable[[], Any]] = [
        *(lambda copy=copy: sign_out(copy) for copy in copies[:5]),
        *(lambda copy=copy: extend(copy) for copy in copies[5:15]),
        *(
            lambda copy=copy, number=number: visit(copy, paths[number % len(paths)])
            for number, copy in enumerate(copies[15:])
        ),
    ]
    results = at_once(jobs)
    assert [result for result in results if isinstance(result, Exception)] == []
    assert {status for statuses in results for status in statuses} <= {200, 302, 401}
    assert [each["sid"] for each in ends] == [sid]
    for copy in copies:
        assert copy.get("/whoami/").json()["user"] == ""


def test_fifty_requests_at_the_deadline_end_a_session_once(client: Client, ends: Ends) -> None:
    sid = age(client, 900)
    copies = [copy_of(client) for _ in range(THREADS)]
    answers = at_once([lambda copy=copy: copy.get("/whoami/").json() for copy in copies])
    assert answers == [{"user": "", "ended": "idle"}] * THREADS
    assert [(each["sid"], each["reason"]) for each in ends] == [(sid, "idle")]


def test_a_long_request_does_not_roll_activity_back(client: Client) -> None:
    sid = age(client, 600)
    long = threading.Thread(
        target=lambda: (copy_of(client).get("/slow-write/?seconds=0.5"), connection.close())
    )
    long.start()
    time.sleep(0.2)
    looks.forget([sid])
    client.get("/whoami/")
    before = MonitoredSession.objects.get().last_activity_at
    long.join()
    after = MonitoredSession.objects.get().last_activity_at
    assert time.time() - before < 5
    assert after >= before


def test_what_a_view_writes_is_kept_however_the_session_is_extended(client: Client) -> None:
    sid = sid_of(client)
    done = threading.Event()

    def disturb() -> None:
        while not done.is_set():
            monitor.touch(sid)
            monitor.extend_session(sid)

    def write() -> int:
        copy = copy_of(client)
        try:
            return max(int(copy.get("/write/").content) for _ in range(20))
        finally:
            done.set()

    others = [copy_of(client) for _ in range(3)]

    def extend(copy: Client) -> None:
        while not done.is_set():
            copy.post("/session/extend/")

    *_, written = at_once([disturb, *(lambda copy=copy: extend(copy) for copy in others), write])
    assert written == 20
    assert client.get("/write/").content == b"21"


@pytest.mark.parametrize("engine", ["db", "cached_db", "cache", "file"])
def test_what_a_view_writes_is_kept_when_the_cookie_is_renewed(
    anna: AbstractUser, sign_in: SignIn, settings: Any, engine: str
) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    client = sign_in(anna)
    done = threading.Event()

    def refresh(copy: Client) -> None:
        while not done.is_set():
            assert copy.post("/session/refresh/").status_code == 204

    def write() -> int:
        copy = copy_of(client)
        try:
            return max(int(copy.get("/write/").content) for _ in range(40))
        finally:
            done.set()

    copies = [copy_of(client) for _ in range(3)]
    *refreshed, written = at_once([*(lambda copy=copy: refresh(copy) for copy in copies), write])
    assert refreshed == [None] * 3
    assert written == 40
