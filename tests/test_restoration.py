"""A store that has lost something is told again, by the processes that know better."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AbstractUser
from django.test import Client
from msgspec.structs import replace

from realtime_session import losses, restoration, settling, store_calls
from realtime_session.looks import looks
from realtime_session.policy import EndReason, Record
from realtime_session.restoration import Restoration
from realtime_session.signals import session_ended
from realtime_session.stores import StoreUnavailable, get_store
from realtime_session.stores.memory import MemoryStore
from realtime_session.threads import DatabaseThreads
from tests.ages import asid_of
from tests.sockets import Socket, tab

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[AbstractUser], Client]
NOTICED = 2.0
"""Seconds within which a loss is to be made good; tests that wait for it give a slow machine longer."""
PATIENCE = 10.0


class ForgetfulStore(MemoryStore):
    """It can go back to what it was, as a Redis that restarts from a snapshot."""

    number = 0
    is_away = False

    @property
    def epoch(self) -> int:
        return self.number

    def go_back(self, records: dict[str, Record], *, notably: bool = True) -> None:
        with self._lock:
            self._records = dict(records)
            self._claims.clear()
            self.number += notably

    async def _run(self, operation: Callable[..., Any], *args: Any) -> Any:
        if self.is_away:
            raise StoreUnavailable("away")
        return operation(*args)


@pytest.fixture
def store(settings: Any) -> ForgetfulStore:
    settings.REALTIME_SESSION = {
        "STORE": {"BACKEND": f"{ForgetfulStore.__module__}.{ForgetfulStore.__qualname__}"}
    }
    store = get_store()
    assert isinstance(store, ForgetfulStore)
    store.go_back({})
    return store


@pytest.fixture
def client(store: ForgetfulStore, anna: AbstractUser, sign_in: SignIn) -> Client:
    return sign_in(anna)


@pytest.fixture
def ends() -> Iterator[list[str]]:
    heard: list[str] = []

    def receiver(sender: object, sid: str, **arguments: Any) -> None:
        heard.append(sid)

    session_ended.connect(receiver)
    yield heard
    session_ended.disconnect(receiver)


def kept(store: MemoryStore, sid: str) -> Record | None:
    return store.get([sid])[1].get(sid)


async def until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.02)


@asynccontextmanager
async def hears_no_end(*sockets: Socket) -> AsyncIterator[None]:
    yield
    for socket in sockets:
        await socket.say("sync")
        while (message := await socket.hear())["type"] != "state":
            assert message["type"] in ("warning", "extended"), message


async def test_an_emptied_store_is_noticed_although_nobody_does_anything(
    client: Client, anna: AbstractUser, sign_in: SignIn, store: ForgetfulStore
) -> None:
    other = await sync_to_async(sign_in)(anna)
    sids = [await asid_of(client), await asid_of(other)]
    async with tab(client) as here, tab(other) as there, hears_no_end(here, there):
        before = {sid: kept(store, sid) for sid in sids}
        store.go_back({}, notably=False)
        await until(lambda: all(kept(store, sid) for sid in sids))
        assert {sid: kept(store, sid) for sid in sids} == before


async def test_a_request_right_after_the_loss_logs_nobody_out_who_is_connected(
    client: Client, store: ForgetfulStore
) -> None:
    sid = await asid_of(client)
    async with tab(client) as socket, hears_no_end(socket):
        store.go_back({}, notably=False)
        looks.forget([sid])
        began = time.time()
        answer = await sync_to_async(client.get)("/whoami/")
        assert answer.json() == {"user": "anna", "ended": None}
        assert kept(store, sid).last_activity_at >= began


async def test_a_request_of_somebody_who_is_not_connected_is_refused_then(
    client: Client, store: ForgetfulStore
) -> None:
    looks.forget([await asid_of(client)])
    store.go_back({})
    answer = await sync_to_async(client.get)("/whoami/")
    assert answer.json() == {"user": "", "ended": "unknown"}


@pytest.mark.parametrize("idle_for", [100, 850, 899, 2000], ids=str)
@pytest.mark.parametrize("is_away", [False, True], ids=["epoch", "gap"])
async def test_activity_that_was_lost_is_noted_again(
    client: Client, store: ForgetfulStore, idle_for: float, is_away: bool
) -> None:
    sid = await asid_of(client)
    async with tab(client) as socket:
        await socket.say("extend")
        await socket.hear("extended")
        known = kept(store, sid)
        async with hears_no_end(socket):
            store.is_away = is_away
            if is_away:
                await socket.say("activity")
                await socket.hear("error")
            past = replace(known, last_activity_at=known.last_activity_at - idle_for)
            store.go_back({sid: past}, notably=not is_away)
            store.is_away = False
            await until(lambda: kept(store, sid).last_activity_at >= known.last_activity_at)
        assert kept(store, sid).ended_at is None


async def test_activity_of_another_process_is_not_undone(
    client: Client, store: ForgetfulStore
) -> None:
    sid = await asid_of(client)
    async with tab(client) as socket, hears_no_end(socket):
        later = replace(kept(store, sid), last_activity_at=time.time() + 5)
        store.go_back({sid: later})
        await asyncio.sleep(NOTICED)
        assert kept(store, sid).last_activity_at == later.last_activity_at


@pytest.mark.parametrize("more", [-60, 60], ids=["less", "more"])
async def test_what_another_process_tells_at_the_same_time_is_not_undone(more: float) -> None:
    store, threads = MemoryStore(), DatabaseThreads(1, "realtime-session-test")
    known = Record("sid", "1", time.time() - 500, time.time() - 100)
    told = replace(known, last_activity_at=known.last_activity_at + more)
    restoration = Restoration(store, threads, time.monotonic, lambda: None)
    # It was missing when it was asked for, and the other process was faster.
    store.open(told)
    found = await restoration.restored(time.time(), {"sid": known}, {})
    later = max(known.last_activity_at, told.last_activity_at)
    assert found["sid"].last_activity_at == pytest.approx(later, abs=0.1)
    assert kept(store, "sid") == found["sid"]


async def test_a_login_anew_is_no_loss(client: Client, store: ForgetfulStore) -> None:
    sid = await asid_of(client)
    async with tab(client) as socket, hears_no_end(socket):
        anew = replace(kept(store, sid), started_at=1.0, last_activity_at=time.time() - 60)
        store.go_back({sid: anew})
        await asyncio.sleep(NOTICED)
        assert kept(store, sid) == anew


async def test_an_end_that_was_lost_is_ended_again_and_not_signalled_again(
    client: Client, anna: AbstractUser, sign_in: SignIn, store: ForgetfulStore, ends: list[str]
) -> None:
    sid, other = await asid_of(client), await sync_to_async(sign_in)(anna)
    async with tab(other) as witness, hears_no_end(witness):
        async with tab(client) as socket:
            before = store._records.copy()
            await socket.say("logout")
            assert (await socket.hear("expired"))["reason"] == "logout"
        await until(lambda: kept(store, sid).finished)
        store.go_back(before)
        assert kept(store, sid).ended_at is None
        await until(lambda: kept(store, sid).finished)
        assert kept(store, sid).end_reason is EndReason.LOGOUT
    assert ends == [sid]


async def test_an_end_that_is_lost_before_its_tabs_have_heard_of_it_is_not_undone(
    client: Client, store: ForgetfulStore, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sid = await asid_of(client)
    is_lost = threading.Event()

    def lose_and_delete(records: list[Record]) -> dict[str, Exception]:
        store.go_back({})
        is_lost.set()
        time.sleep(settling.DELETION_TIMEOUT / 2)
        return settling.delete_sessions(records)

    monkeypatch.setattr(store_calls, "delete_sessions", lose_and_delete)
    async with tab(client) as socket, tab(client) as other:
        await socket.say("logout")
        await until(is_lost.is_set)
        await other.say("sync")
        for each in (socket, other):
            assert (await each.hear("expired"))["reason"] == "logout"
        await until(lambda: ends)
    assert kept(store, sid) is None
    assert ends == [sid]


async def test_a_few_ends_are_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restoration, "MOST_ENDS", 3)
    now = 1000.0
    threads = DatabaseThreads(1, "realtime-session-test")
    known = Restoration(MemoryStore(), threads, lambda: now, lambda: None)
    for number in range(5):
        known.ended(Record(str(number), "1", 0.0, 0.0, ended_at=1.0, end_reason=EndReason.IDLE))
    assert known.ends == ["2", "3", "4"]
    now += restoration.REMEMBER_ENDS + 1
    known.ended(Record("5", "1", 0.0, 0.0, ended_at=1.0, end_reason=EndReason.IDLE))
    assert known.ends == ["5"]
    assert losses._knowing == []
