"""The Python API, and what a process leaves for others to finish."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.test import Client

from realtime_session import bus, monitor
from realtime_session.models import MonitoredSession
from realtime_session.policy import EndReason, Phase
from realtime_session.signals import session_ended
from realtime_session.stores import get_store
from tests.ages import age, sid_of

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[AbstractUser], Client]
Ends = list[dict[str, Any]]


@pytest.fixture
def nudges() -> Iterator[list[str]]:
    heard: list[str] = []
    bus.listen(heard.extend)
    yield heard
    bus.unlisten(heard.extend)


def test_a_session_is_ended_once(client: Client, ends: Ends) -> None:
    sid = sid_of(client)
    assert monitor.end_session(sid) is True
    assert monitor.end_session(sid) is False
    assert [each["sid"] for each in ends] == [sid]
    assert MonitoredSession.objects.get().end_reason == "revoked"
    assert not Session.objects.exists()


def test_an_unknown_session_is_not_ended(db: None) -> None:
    assert monitor.end_session("unknown") is False


def test_a_reason_that_is_none_of_the_protocols_is_an_error(client: Client) -> None:
    with pytest.raises(ValueError, match="bored"):
        monitor.end_session(sid_of(client), "bored")


def test_all_sessions_of_a_user_are_ended_but_the_one_kept(
    anna: AbstractUser, ben: AbstractUser, sign_in: SignIn
) -> None:
    mine, phone, tablet, stranger = (sign_in(user) for user in (anna, anna, anna, ben))
    assert monitor.end_user_sessions(anna, keep=sid_of(mine)) == 2
    users = [each.get("/whoami/").json() for each in (mine, phone, tablet, stranger)]
    assert [user["user"] for user in users] == ["anna", "", "", "ben"]
    assert [user["ended"] for user in users] == [None, "revoked", "revoked", None]


def test_a_users_sessions_are_listed_latest_first(anna: AbstractUser, sign_in: SignIn) -> None:
    first, second, overdue = (sign_in(anna) for _ in range(3))
    age(first, 10)
    age(overdue, 901)
    expected = [sid_of(second), sid_of(first)]
    assert [record.sid for record in monitor.sessions_for(anna)] == expected
    assert [record.sid for record in monitor.sessions_for(anna.pk)] == expected


def test_extending_tells_the_status(client: Client) -> None:
    status = monitor.extend_session(age(client, 800))
    assert status is not None
    assert status.phase is Phase.ACTIVE
    assert 899 < status.expires_in <= 900


def test_what_has_ended_is_not_extended(client: Client) -> None:
    assert monitor.extend_session(age(client, 900)) is None
    assert monitor.extend_session("unknown") is None


async def test_each_call_has_an_async_twin(client: Client, anna: AbstractUser) -> None:
    (record,) = await monitor.asessions_for(anna)
    assert await monitor.aextend_session(record.sid) is not None
    assert await monitor.aend_user_sessions(anna) == 1
    assert await monitor.aend_session(record.sid) is False


def test_the_end_is_nudged_after_the_transaction(client: Client, nudges: list[str]) -> None:
    sid = sid_of(client)
    with transaction.atomic():
        monitor.end_session(sid)
        assert nudges == []
    assert nudges == [sid]


def test_only_leaving_the_warning_is_nudged(client: Client, nudges: list[str]) -> None:
    sid = age(client, 300)
    monitor.touch(sid)
    assert nudges == []
    age(client, 800)
    monitor.touch(sid)
    assert nudges == []
    monitor.touch(sid, extend=True)
    assert nudges == [sid]


def test_a_receiver_that_fails_stops_nothing(
    client: Client, ends: Ends, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**arguments: Any) -> None:
        raise RuntimeError("receiver")

    session_ended.connect(fail)
    sid = sid_of(client)
    monitor.end_session(sid)
    session_ended.disconnect(fail)
    assert [each["sid"] for each in ends] == [sid]
    assert MonitoredSession.objects.get(sid=sid).finished


def test_a_sweep_ends_what_is_overdue(anna: AbstractUser, sign_in: SignIn, ends: Ends) -> None:
    due, live = sign_in(anna), sign_in(anna)
    sid = age(due, 901)
    assert monitor.sweep(keep_for=3600) == 1
    assert [each["sid"] for each in ends] == [sid]
    assert live.get("/whoami/").json()["user"] == "anna"


def test_a_sweep_finishes_what_a_dead_process_began(client: Client, ends: Ends) -> None:
    sid = sid_of(client)
    get_store().end(sid, EndReason.REVOKED)
    monitor.sweep(keep_for=3600)
    assert ends == [], "the process that ended it may still be at it"
    long_ago = time.time() - monitor.SETTLE_AFTER - 1
    MonitoredSession.objects.filter(sid=sid).update(ended_at=long_ago, claimed_at=long_ago)
    monitor.sweep(keep_for=3600)
    assert [each["sid"] for each in ends] == [sid]
    assert not Session.objects.exists()
    monitor.sweep(keep_for=3600)
    assert [each["sid"] for each in ends] == [sid]


def test_a_sweep_drops_old_tombstones(client: Client) -> None:
    sid = sid_of(client)
    monitor.end_session(sid)
    MonitoredSession.objects.filter(sid=sid).update(ended_at=time.time() - 3601)
    monitor.sweep(keep_for=3600)
    assert not MonitoredSession.objects.exists()


def test_one_of_many_threads_ends_a_session(client: Client, ends: Ends) -> None:
    sid = sid_of(client)
    wins = []

    def work() -> None:
        wins.append(monitor.end_session(sid))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wins.count(True) == 1
    assert [each["sid"] for each in ends] == [sid]
