"""What happens in a transaction is told to others once it is committed, and in a test case at once."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.test import Client, TestCase

from realtime_session import bus, monitor
from realtime_session.models import MonitoredSession
from realtime_session.signals import session_ended, session_started
from tests.ages import age, sid_of

Heard = list[tuple[str, Any]]
in_transactions = pytest.mark.django_db(transaction=True)


class GoBackError(Exception):
    pass


@pytest.fixture
def heard() -> Iterator[Heard]:
    """All that other processes and receivers are told, in its order."""
    heard: Heard = []

    def receiver(sender: object, signal: object, **arguments: Any) -> None:
        heard.append(("ended" if signal is session_ended else "started", arguments["sid"]))

    def listener(sids: list[str]) -> None:
        heard.extend(("nudge", sid) for sid in sids)

    for signal in (session_started, session_ended):
        signal.connect(receiver)
    bus.listen(listener)
    yield heard
    bus.unlisten(listener)
    for signal in (session_started, session_ended):
        signal.disconnect(receiver)


@pytest.fixture
def atomic_requests(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)


@in_transactions
def test_an_end_is_told_when_it_is_committed(client: Client, heard: Heard) -> None:
    sid = sid_of(client)
    with transaction.atomic():
        assert monitor.end_session(sid) is True
        assert monitor.end_session(sid) is False
        assert heard == []
        assert Session.objects.exists()
    assert heard == [("nudge", sid), ("ended", sid)]
    assert not Session.objects.exists()
    assert MonitoredSession.objects.get().finished


@transaction.atomic
def end_and_go_back(sid: str) -> None:
    assert monitor.end_session(sid) is True
    raise GoBackError


@in_transactions
@pytest.mark.parametrize("is_savepoint", [False, True])
def test_an_end_that_is_rolled_back_has_not_happened(
    client: Client, heard: Heard, is_savepoint: bool
) -> None:
    sid = sid_of(client)
    with transaction.atomic() if is_savepoint else nullcontext(), pytest.raises(GoBackError):
        end_and_go_back(sid)
    assert heard == []
    assert client.get("/whoami/").json() == {"user": "anna", "ended": None}
    assert monitor.end_session(sid) is True
    assert heard == [("nudge", sid), ("ended", sid)]


@in_transactions
def test_a_view_that_fails_in_its_transaction_has_ended_nothing(
    client: Client, heard: Heard, atomic_requests: None
) -> None:
    sid = sid_of(client)
    with pytest.raises(RuntimeError, match="the view fails"):
        client.get("/end-and-fail/")
    assert heard == []
    assert client.get("/whoami/").json() == {"user": "anna", "ended": None}
    client.get("/end/")
    assert heard == [("nudge", sid), ("ended", sid)]


@in_transactions
def test_login_extend_and_logout_in_transactions_are_told_as_ever(
    anna: AbstractUser, heard: Heard, atomic_requests: None
) -> None:
    client = Client()
    client.post("/login/", {"username": "anna", "password": "anna"})
    sid = sid_of(client)
    assert heard == [("started", sid)]
    age(client, 800)
    client.post("/session/extend/")
    assert heard[1:] == [("nudge", sid)]
    client.post("/logout/")
    assert heard[2:] == [("nudge", sid), ("ended", sid)]


@in_transactions
def test_a_due_session_that_a_view_in_a_transaction_meets_is_ended(
    client: Client, heard: Heard, atomic_requests: None
) -> None:
    sid = age(client, 901)
    assert client.get("/whoami/").json() == {"user": "", "ended": "idle"}
    assert heard == [("nudge", sid), ("ended", sid)]


@in_transactions
def test_without_autocommit_what_follows_is_not_waited_for(client: Client, heard: Heard) -> None:
    sid = sid_of(client)
    transaction.set_autocommit(False)
    try:
        monitor.end_session(sid)
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert heard == [("nudge", sid), ("ended", sid)]


class TestInATestCaseOfAProject(TestCase):
    """Where nothing is ever committed."""

    @pytest.fixture(autouse=True)
    def _listen(self, heard: Heard) -> None:
        self.heard = heard

    def setUp(self) -> None:
        self.user = get_user_model().objects.create_user("anna", password="anna")
        self.client.force_login(self.user)
        self.sid = sid_of(self.client)
        self.told = [("nudge", self.sid), ("ended", self.sid)]

    def test_signals_are_sent_at_once(self) -> None:
        assert self.heard == [("started", self.sid)]
        self.client.get("/whoami/")
        monitor.end_user_sessions(self.user)
        assert self.heard[1:] == self.told
        assert self.client.get("/whoami/").json() == {"user": "", "ended": "revoked"}

    def test_signals_of_an_atomic_block_are_captured_as_all_that_waits_for_a_commit(self) -> None:
        with self.captureOnCommitCallbacks(execute=True), transaction.atomic():
            monitor.end_session(self.sid)
            assert self.heard == [("started", self.sid)]
        assert self.heard[1:] == self.told
