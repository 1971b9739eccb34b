"""Redis is emptied: who asks before it is told again what it held is neither ended nor let in."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.test import Client
from msgspec.structs import replace

from realtime_session import losses, monitor, proof
from realtime_session.engine import SID_KEY
from realtime_session.looks import looks
from realtime_session.policy import EndReason, Policy, Record
from realtime_session.protocol import CloseCode
from realtime_session.stores import StoreUnavailable, get_store
from realtime_session.stores.redis.epoch import LOSS_GRACE
from tests.ages import sid_of
from tests.redis_server import RedisServer, redis_server
from tests.servers import Server, hear, hear_only
from tests.sockets import make_socket, tab
from tests.stores.records import Clock

pytestmark = pytest.mark.django_db(transaction=True)

STORE = "realtime_session.stores.redis.RedisStore"
PATIENCE = 10.0
PASSIVE = {"X-Session-Passive": "1"}

SignIn = Callable[[AbstractUser], Client]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def clock(redis: RedisServer, settings: Any) -> Clock:
    """The time of the store, which lost nothing for long."""
    redis.ask("FLUSHALL")
    clock = Clock()
    options = {"url": redis.url, "clock": clock}
    settings.REALTIME_SESSION = {"STORE": {"BACKEND": STORE, "OPTIONS": options}}
    get_store().lost_lately()
    clock.advance(LOSS_GRACE)
    return clock


@pytest.fixture
def client(clock: Clock, anna: AbstractUser, sign_in: SignIn) -> Client:
    return sign_in(anna)


@pytest.fixture
def lost(client: Client, redis: RedisServer) -> Record:
    """Anna's record, which another process is about to tell Redis again."""
    [record] = get_store().get([sid_of(client)])[1].values()
    redis.ask("FLUSHALL")
    looks.forget([record.sid])
    return record


def told_again(record: Record) -> None:
    assert get_store().open(record, only_missing=True) == record


def kept(sid: str) -> Record | None:
    return get_store().get([sid])[1].get(sid)


class TestRequest:
    @pytest.mark.parametrize(
        ("path", "headers"),
        [
            ("/whoami/", {}),
            ("/awhoami/", {}),
            ("/passive/", {}),
            ("/whoami/", {"X-Session-Passive": "1"}),
            ("/logout/", {}),
            ("/session/state/", {}),
        ],
    )
    def test_is_to_come_again(
        self, client: Client, lost: Record, path: str, headers: dict[str, str]
    ) -> None:
        answer = (client.post if "logout" in path else client.get)(path, headers=headers)
        assert answer.status_code == 503
        assert int(answer["Retry-After"]) > 0
        assert not answer.cookies
        assert Session.objects.filter(session_key=client.session.session_key).exists()
        told_again(lost)
        assert client.get("/whoami/").json() == {"user": "anna", "ended": None}

    def test_is_refused_once_nobody_has_told_it_again(
        self, client: Client, lost: Record, clock: Clock
    ) -> None:
        assert client.get("/whoami/").status_code == 503
        clock.advance(LOSS_GRACE)
        assert client.get("/whoami/").json() == {"user": "", "ended": "unknown"}
        assert client.get("/whoami/").json() == {"user": "", "ended": None}

    def test_is_let_through_where_the_project_prefers_that(
        self, client: Client, lost: Record, settings: Any
    ) -> None:
        settings.REALTIME_SESSION |= {"ON_STORE_ERROR": "allow"}
        assert client.get("/whoami/").json() == {"user": "anna", "ended": None}

    def test_that_was_let_in_before_the_loss_is_answered(
        self, client: Client, redis: RedisServer
    ) -> None:
        client.get("/whoami/")
        redis.ask("FLUSHALL")
        assert client.get("/write/").content == b"1"
        assert client.session["count"] == 1
        assert client.get("/write/").content == b"2"
        looks.forget([sid_of(client)])
        assert client.get("/write/").status_code == 503

    def test_that_finds_its_record_asks_for_nothing_else(
        self, client: Client, redis: RedisServer
    ) -> None:
        client.get("/whoami/")
        looks.forget([sid_of(client)])
        redis.ask("CONFIG", "RESETSTAT")
        assert client.get("/whoami/").status_code == 200
        asked = {name: each["calls"] for name, each in redis.ask("INFO", "commandstats").items()}
        del asked["cmdstat_config|resetstat"]
        assert asked == {"cmdstat_evalsha": 1, "cmdstat_mget": 1}, "the second by the first"

    def test_of_somebody_anonymous_is_none_of_this(self, lost: Record) -> None:
        assert Client().get("/whoami/").json() == {"user": "", "ended": None}

    def test_logs_in(self, lost: Record, anna: AbstractUser) -> None:
        other = Client()
        assert other.login(username="anna", password="anna")
        assert other.get("/whoami/").json() == {"user": "anna", "ended": None}

    def test_of_a_session_from_before_the_app_begins_it(self, client: Client, lost: Record) -> None:
        session = client.session
        del session[SID_KEY]
        session.save()
        assert client.get("/whoami/").json() == {"user": "anna", "ended": None}


class TestSocket:
    async def test_is_to_come_again(self, client: Client, lost: Record) -> None:
        socket = make_socket(client)
        await socket.connect()
        assert (await socket.hear("error"))["code"] == "unavailable"
        assert await socket.hear_close() == CloseCode.TRY_AGAIN_LATER
        await socket.leave()
        await sync_to_async(told_again)(lost)
        async with tab(client):
            pass

    async def test_is_refused_once_nobody_has_told_it_again(
        self, client: Client, lost: Record, clock: Clock
    ) -> None:
        await get_store().alost_lately()
        clock.advance(LOSS_GRACE)
        socket = make_socket(client)
        await socket.connect()
        assert (await socket.hear("expired"))["reason"] == "unknown"
        assert await socket.hear_close() == CloseCode.NOT_SIGNED_IN
        await socket.leave()

    async def test_that_is_open_tells_it_again_whatever_else_is_asked(
        self, client: Client, anna: AbstractUser, sign_in: SignIn, redis: RedisServer
    ) -> None:
        sid = await sync_to_async(sid_of)(client)
        async with tab(client):
            await asyncio.to_thread(redis.ask, "FLUSHALL")
            busy = await sync_to_async(sign_in)(anna)
            async with tab(busy) as typing:
                # It is answered all the time, and nothing is missing.
                give_up_at = time.monotonic() + PATIENCE
                while not (await get_store().aget([sid]))[1]:
                    assert time.monotonic() < give_up_at
                    await typing.say("sync")
                    await typing.hear("state")
                    await asyncio.sleep(proof.PROVE / 5)

    async def test_that_is_open_and_logs_out_is_logged_out(
        self, client: Client, redis: RedisServer
    ) -> None:
        sid = await sync_to_async(sid_of)(client)
        async with tab(client) as socket:
            await asyncio.to_thread(redis.ask, "FLUSHALL")
            await socket.say("logout")
            assert (await socket.hear("expired"))["reason"] == "logout"
        assert (await get_store().aget([sid]))[1][sid].end_reason is EndReason.LOGOUT


class TestPythonApi:
    @pytest.mark.parametrize(
        "call",
        [
            lambda record: monitor.end_session(record.sid),
            lambda record: monitor.end_user_sessions(record.user_id),
            lambda record: monitor.extend_session(record.sid),
            lambda record: monitor.apply_policy(record.sid, Policy()),
            lambda record: monitor.has_ended(record.sid),
        ],
        ids=["end_session", "end_user_sessions", "extend_session", "apply_policy", "has_ended"],
    )
    def test_says_that_it_cannot_know(
        self, lost: Record, clock: Clock, call: Callable[[Record], object]
    ) -> None:
        with pytest.raises(StoreUnavailable):
            call(lost)
        clock.advance(LOSS_GRACE)
        assert call(lost) in (False, 0, None, True)

    def test_ends_what_it_finds_all_the_same(
        self, lost: Record, anna: AbstractUser, sign_in: SignIn
    ) -> None:
        found = sid_of(sign_in(anna))
        with pytest.raises(StoreUnavailable):
            monitor.end_user_sessions(anna)
        assert kept(found).end_reason is EndReason.REVOKED

    def test_of_a_process_that_knows_the_session_does_what_it_is_told(
        self, lost: Record, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(losses, "_knowing", [{lost.sid: lost}.get])
        assert monitor.apply_policy(lost.sid, Policy(idle_timeout=500))
        assert kept(lost.sid).policy.idle_timeout == 500
        assert monitor.end_session(lost.sid)
        assert kept(lost.sid).end_reason is EndReason.REVOKED
        assert not monitor.end_session(lost.sid)

    def test_does_not_undo_what_another_process_has_told(
        self, lost: Record, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = replace(lost, last_activity_at=clock.now)

        def knows(sid: str) -> Record:
            # The other process is faster.
            told_again(told)
            return replace(lost, last_activity_at=clock.now - 60)

        monkeypatch.setattr(losses, "_knowing", [knows])
        assert monitor.look(lost.sid)[1] == told
        assert kept(lost.sid) == told

    @pytest.mark.parametrize("whom", ["--user=anna", "--sid=1"])
    def test_says_so_to_the_command(self, lost: Record, whom: str) -> None:
        with pytest.raises(CommandError, match="lost records just now"):
            call_command("sessionmonitor", "end", whom, stdout=StringIO())


@pytest.mark.parametrize(("here", "there"), [("daphne", "uvicorn"), ("uvicorn", "granian")])
async def test_a_process_without_the_tab_waits_for_the_one_that_does(
    start: Callable[..., Server], redis: RedisServer, here: str, there: str
) -> None:
    policy = {"STORE": {"BACKEND": STORE, "OPTIONS": {"url": redis.url}}}
    knowing, other = start(here, policy), start(there, policy)
    anna, elsewhere = knowing.browser(), other.browser()
    await asyncio.to_thread(anna.sign_in)
    elsewhere.http.cookies = anna.http.cookies
    async with anna.tab() as tab:
        await hear_only(tab, "state")
        assert (await asyncio.to_thread(elsewhere.http.get, "/whoami/")).json()["user"] == "anna"
        knowing.send(signal.SIGSTOP)
        await asyncio.to_thread(redis.ask, "FLUSHALL")
        await asyncio.sleep(1.1)  # for which a look may hold
        answer = await asyncio.to_thread(elsewhere.http.get, "/whoami/")
        assert answer.status_code == 503
        async with elsewhere.tab() as second:
            assert (await hear(second))["code"] == "unavailable"
            await second.wait_closed()
            assert second.close_code == CloseCode.TRY_AGAIN_LATER
        knowing.send(signal.SIGCONT)
        give_up_at = time.monotonic() + PATIENCE
        while (answer := await asyncio.to_thread(elsewhere.http.get, "/whoami/")).is_error:
            assert answer.status_code == 503
            assert time.monotonic() < give_up_at
        assert answer.json() == {"user": "anna", "ended": None}
        async with elsewhere.tab() as second:
            await hear_only(second, "state")


async def test_a_session_still_ends_with_its_last_tab(
    start: Callable[..., Server], redis: RedisServer
) -> None:
    policy = {"STORE": {"BACKEND": STORE, "OPTIONS": {"url": redis.url}}, "TAB_CLOSE_GRACE": 1}
    server = start("daphne", policy)
    anna = server.browser()
    await asyncio.to_thread(anna.sign_in)
    async with anna.tab() as tab:
        await hear_only(tab, "state")
        await asyncio.to_thread(redis.ask, "FLUSHALL")
        await asyncio.sleep(2.5)  # a look comes each second
    give_up_at = time.monotonic() + PATIENCE
    while (who := (await asyncio.to_thread(anna.http.get, "/whoami/", headers=PASSIVE)).json())[
        "user"
    ]:
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.2)
    assert who["ended"] == "closed"
