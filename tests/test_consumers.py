"""The protocol as a client sees it. Time is not waited for: sessions are made older instead."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client

from realtime_session import bus, monitor
from realtime_session.consumers import MessageLimit
from realtime_session.models import MonitoredSession
from realtime_session.policy import EndReason
from tests.ages import aage, asid_of
from tests.sockets import connect, make_socket, session_cookie, tab

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[AbstractUser], Client]


@pytest.fixture
def others(ben: AbstractUser, sign_in: SignIn) -> Client:
    return sign_in(ben)


async def test_the_first_message_is_the_state(client: Client) -> None:
    async with tab(client) as socket:
        state = socket.state
    assert 899 < state.pop("expires_in") <= 900
    assert 779 < state.pop("warns_in") <= 780
    assert abs(state.pop("at") - time.time()) < 5
    assert state == {
        "type": "state",
        "phase": "active",
        "reason": "idle",
        "can_extend": True,
        "idle_timeout": 900.0,
        "warn_before": 120.0,
        "absolute_expires_in": None,
        "activity_interval": 1.0,
        "activity_extends_in_warning": False,
    }


async def test_the_subprotocol_is_selected_or_not_needed(client: Client) -> None:
    socket = make_socket(client)
    assert await socket.connect() == (True, "realtime-session.v1")
    await socket.leave()
    socket = make_socket(client, subprotocols=())
    assert await socket.connect() == (True, None)
    assert (await socket.hear())["type"] == "state"
    await socket.leave()


async def test_only_unknown_subprotocols_are_accepted_and_closed(client: Client) -> None:
    async with connect(client, subprotocols=("realtime-session.v9", "chat")) as socket:
        assert await socket.hear_close() == 4406


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "https://testserver"])
async def test_another_origin_is_refused_in_the_handshake(
    client: Client, origin: str | None
) -> None:
    socket = make_socket(client, origin=origin)
    assert (await socket.connect())[0] is False
    await socket.leave()


async def test_nobody_is_told_4401_after_the_accept() -> None:
    async with connect() as socket:
        assert await socket.hear_close() == 4401


async def test_a_made_up_cookie_is_nobody(client: Client) -> None:
    async with connect(client, cookie="sessionid=" + "x" * 32) as socket:
        assert await socket.hear_close() == 4401


async def test_an_anonymous_session_is_nobody(db: None) -> None:
    def make() -> str:
        session = SessionStore()
        session["cart"] = 1
        session.create()
        return str(session.session_key)

    key = await sync_to_async(make)()
    async with connect(cookie=f"sessionid={key}") as socket:
        assert await socket.hear_close() == 4401


async def test_a_session_that_ended_while_away_says_why(client: Client) -> None:
    cookie = session_cookie(client)
    assert await monitor.aend_session(await asid_of(client), "revoked")
    async with connect(cookie=f"sessionid={cookie}") as socket:
        assert (await socket.hear("expired"))["reason"] == "revoked"
        assert await socket.hear_close() == 4401


async def test_a_session_that_ran_out_while_away_is_ended_by_its_socket(client: Client) -> None:
    sid = await aage(client, 900)
    async with connect(client) as socket:
        expired = await socket.hear("expired")
        assert expired["reason"] == "idle"
        assert expired["redirect"] == "/login/"
        assert "no activity" in expired["message"]
        assert await socket.hear_close() == 4401
    row = await MonitoredSession.objects.aget(sid=sid)
    assert row.end_reason == "idle"


async def test_a_sid_without_a_record_is_unknown(client: Client) -> None:
    await MonitoredSession.objects.all().adelete()
    async with connect(client) as socket:
        assert (await socket.hear("expired"))["reason"] == "unknown"
        assert await socket.hear_close() == 4401


async def test_a_socket_in_the_warning_phase_says_so_at_once(client: Client) -> None:
    await aage(client, 800)
    async with tab(client) as socket:
        assert socket.state["phase"] == "warning"
        assert socket.state["warns_in"] == 0
        assert 99 < socket.state["expires_in"] <= 100


async def test_every_tab_is_warned_when_it_is_time(client: Client, others: Client) -> None:
    await aage(client, 778.5)
    async with tab(client) as one, tab(client) as two, tab(others) as stranger:
        for socket in (one, two):
            warning = await socket.hear("warning")
            assert 119 < warning["expires_in"] <= 120
            assert warning["reason"] == "idle"
            assert warning["can_extend"] is True
        assert await stranger.receive_nothing()


async def test_extend_is_answered_in_its_tab_and_heard_in_every_other(client: Client) -> None:
    await aage(client, 800)
    async with tab(client) as one, tab(client) as two:
        await one.say("extend", id="abc")
        answer = await one.hear("extended")
        assert answer["id"] == "abc"
        assert 899 < answer["expires_in"] <= 900
        assert 779 < answer["warns_in"] <= 780
        heard = await two.hear("extended")
        assert "id" not in heard
        assert await one.receive_nothing(), "answered once"


async def test_extend_is_stored_when_it_is_answered(client: Client) -> None:
    sid = await aage(client, 800)
    before = await MonitoredSession.objects.aget(sid=sid)
    async with tab(client) as socket:
        await socket.say("extend")
        await socket.hear("extended")
        after = await MonitoredSession.objects.aget(sid=sid)
        assert after.last_activity_at - before.last_activity_at > 799


async def test_extend_in_the_active_phase_is_answered_too(client: Client) -> None:
    async with tab(client) as one, tab(client) as two:
        await one.say("extend", id="x")
        assert (await one.hear("extended"))["id"] == "x"
        assert await two.receive_nothing()


async def test_an_extend_that_comes_too_late_gets_the_end(client: Client) -> None:
    async with tab(client) as socket:
        await aage(client, 901)
        await socket.say("extend", id="late")
        assert (await socket.hear("expired"))["reason"] == "idle"
        assert await socket.hear_close() == 4001


async def test_nobody_can_stay_beyond_the_absolute_end(client: Client, settings: Any) -> None:
    sid = await asid_of(client)
    row = await MonitoredSession.objects.aget(sid=sid)
    await MonitoredSession.objects.filter(sid=sid).aupdate(
        absolute_timeout=1000, hard_end_at=row.started_at + 1000
    )
    await aage(client, 890)
    async with tab(client) as one:
        assert one.state["can_extend"] is True
        await one.say("extend", id="x")
        # The idle end moves away, and the absolute end comes into sight: another warning.
        extended = await one.hear()
        assert extended["type"] in ("extended", "warning")
        other = await one.hear()
        by_type = {message["type"]: message for message in (extended, other)}
        assert by_type["extended"]["can_extend"] is False
        assert 109 < by_type["extended"]["expires_in"] <= 110
        assert by_type["extended"]["warns_in"] == 0
        assert by_type["warning"]["reason"] == "absolute"
        assert by_type["warning"]["can_extend"] is False


async def test_activity_moves_the_deadline(client: Client) -> None:
    sid = await aage(client, 300)
    async with tab(client) as socket:
        await socket.say("activity")
        # The tab goes before the next tick: what is still to be written is written.
    row = await MonitoredSession.objects.aget(sid=sid)
    assert time.time() - row.last_activity_at < 5


async def test_activity_does_not_end_a_warning_by_itself(client: Client) -> None:
    sid = await aage(client, 800)
    async with tab(client) as socket:
        await socket.say("activity")
        await socket.say("sync")
        assert (await socket.hear("state"))["phase"] == "warning"
    row = await MonitoredSession.objects.aget(sid=sid)
    assert time.time() - row.last_activity_at > 790


async def test_activity_ends_a_warning_where_the_policy_lets_it(client: Client) -> None:
    sid = await aage(client, 800)
    await MonitoredSession.objects.filter(sid=sid).aupdate(activity_extends_in_warning=True)
    async with tab(client) as one, tab(client) as two:
        assert one.state["activity_extends_in_warning"] is True
        await one.say("activity")
        for socket in (one, two):
            assert "id" not in await socket.hear("extended")


async def test_activity_just_before_the_warning_is_written_at_once(client: Client) -> None:
    """So that it is stored before the warning is due, and people are not warned for nothing."""
    await aage(client, 778.5)
    async with tab(client) as socket:
        await socket.say("activity")
        assert await socket.receive_nothing(timeout=1.8), "no warning"
        await socket.say("sync")
        assert (await socket.hear("state"))["expires_in"] > 890


async def test_sync_is_no_activity(client: Client) -> None:
    await aage(client, 300)
    async with tab(client) as socket:
        await socket.say("sync", id="s")
        state = await socket.hear("state")
        assert state["id"] == "s"
        assert 599 < state["expires_in"] <= 600


async def test_connecting_is_no_activity(client: Client) -> None:
    await aage(client, 300)
    for _ in range(3):
        async with tab(client) as socket:
            assert socket.state["expires_in"] <= 600


async def test_logout_ends_the_session_in_every_tab(client: Client, others: Client) -> None:
    async with tab(client) as one, tab(client) as two, tab(others) as stranger:
        await one.say("logout")
        for socket in (one, two):
            expired = await socket.hear("expired")
            assert expired["reason"] == "logout"
            assert expired["message"] == "You have been signed out."
            assert await socket.hear_close() == 4001
        assert await stranger.receive_nothing()
    answer = await sync_to_async(client.get)("/whoami/")
    assert answer.json() == {"user": "", "ended": "logout"}


async def test_by_the_time_of_expired_a_request_is_anonymous(client: Client) -> None:
    await aage(client, 898.5)
    async with tab(client) as socket:
        expired = await socket.hear("expired")
        answer = await sync_to_async(client.get)("/whoami/")
        assert answer.json() == {"user": "", "ended": "idle"}
        assert expired["reason"] == "idle"
        assert await socket.hear_close() == 4001


async def test_a_server_call_is_heard_in_every_tab(client: Client) -> None:
    sid = await aage(client, 800)
    async with tab(client) as one, tab(client) as two:
        assert await monitor.aextend_session(sid) is not None
        for socket in (one, two):
            assert "id" not in await socket.hear("extended")
        assert await monitor.aend_session(sid) is True
        for socket in (one, two):
            assert (await socket.hear("expired"))["reason"] == "revoked"


async def test_a_nudge_that_is_lost_is_made_good_during_a_warning(client: Client) -> None:
    sid = await aage(client, 800)
    async with tab(client) as socket:
        # As another process would that cannot reach this one.
        await sync_to_async(MonitoredSession.objects.filter(sid=sid).update)(
            last_activity_at=time.time()
        )
        assert (await socket.hear("extended"))["expires_in"] > 890


async def test_a_nudge_without_news_pushes_nothing(client: Client) -> None:
    sid = await asid_of(client)
    async with tab(client) as socket:
        for _ in range(3):
            bus.nudge([sid, "unknown"])
        assert await socket.receive_nothing()


async def test_a_session_that_was_lost_by_the_store_is_put_back(client: Client) -> None:
    sid = await aage(client, 300)
    async with tab(client) as socket:
        await MonitoredSession.objects.all().adelete()
        await socket.say("sync")
        assert 598 < (await socket.hear("state"))["expires_in"] <= 600
    assert await MonitoredSession.objects.filter(sid=sid).aexists()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", "bad_json"),
        ("[" * 1000, "bad_json"),
        ('{"type": "activity", "x": NaN}', "bad_json"),
        ("[]", "bad_message"),
        ("3", "bad_message"),
        ("{}", "bad_message"),
        ('{"type": 3}', "bad_message"),
        ('{"type": "extend", "id": 3}', "bad_message"),
        ('{"type": "extend", "id": "' + "x" * 65 + '"}', "bad_message"),
        ('{"type": "nonsense"}', "unknown_type"),
        ('{"type": "websocket.disconnect"}', "unknown_type"),
        ('{"type": "websocket_disconnect"}', "unknown_type"),
        ('{"type": "expired"}', "unknown_type"),
    ],
)
async def test_a_bad_message_gets_an_error_and_changes_nothing(
    client: Client, frame: str, code: str
) -> None:
    async with tab(client) as socket:
        await socket.send_to(text_data=frame)
        error = await socket.hear("error")
        assert error["code"] == code
        assert error["detail"]
        await socket.say("sync")
        assert (await socket.hear("state"))["phase"] == "active"


async def test_an_error_names_the_id_it_answers(client: Client) -> None:
    async with tab(client) as socket:
        await socket.say("nonsense", id="n1")
        assert (await socket.hear("error"))["id"] == "n1"


async def test_unknown_fields_are_ignored(client: Client) -> None:
    async with tab(client) as socket:
        await socket.say("sync", id="s", later={"version": [1, 2]})
        assert (await socket.hear("state"))["id"] == "s"


async def test_the_eleventh_bad_message_closes_the_socket(client: Client) -> None:
    async with tab(client) as socket:
        for _ in range(11):
            await socket.send_to(text_data="{")
            await socket.hear("error")
        assert await socket.hear_close() == 4400


async def test_a_binary_frame_closes_the_socket(client: Client) -> None:
    async with tab(client) as one, tab(client) as two:
        await one.send_to(bytes_data=b'{"type": "logout"}')
        assert await one.hear_close() == 4400
        assert await two.receive_nothing()


@pytest.mark.parametrize("filler", ["x" * 1024, "ü" * 513])
async def test_a_frame_over_1_kib_closes_the_socket(client: Client, filler: str) -> None:
    async with tab(client) as socket:
        await socket.send_to(text_data=json.dumps({"type": filler}, ensure_ascii=False))
        assert await socket.hear_close() == 4400


async def test_a_flood_closes_the_socket_and_no_other(client: Client) -> None:
    async with tab(client) as one, tab(client) as two:
        for _ in range(60):
            await one.say("activity")
        assert (await one.hear("error"))["code"] == "rate_limited"
        assert await one.hear_close() == 4429
        assert await two.receive_nothing()


def test_ten_messages_a_second_are_allowed_for_ever() -> None:
    limit = MessageLimit()
    assert all(limit.allows(second + tenth / 10) for second in range(60) for tenth in range(10))


def test_eleven_messages_a_second_are_not_allowed_for_long() -> None:
    limit = MessageLimit()
    allowed = [limit.allows(number / 11) for number in range(11 * 6)]
    assert all(allowed[:50])
    assert not all(allowed)


async def test_too_many_tabs_of_one_session_are_refused(client: Client, settings: Any) -> None:
    settings.REALTIME_SESSION = {"MAX_TABS": 2}
    async with tab(client), tab(client) as two, connect(client) as three:
        assert await three.hear_close() == 4429
        await two.say("sync")
        await two.hear("state")


async def test_an_expired_message_is_in_the_language_of_its_reader(
    client: Client, settings: Any
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
    async with tab(client, accept_language="de"):
        pass  # which texts there are is tested with the translations; here it must not fail


async def test_no_message_carries_the_session_key(client: Client) -> None:
    key = session_cookie(client)
    async with tab(client) as socket:
        said = [json.dumps(socket.state)]
        await socket.say("extend", id="x")
        said.append(json.dumps(await socket.hear()))
        await socket.say("logout")
        said.append(json.dumps(await socket.hear()))
    assert all(key not in text for text in said)


async def test_an_ended_session_is_not_revived_by_any_message(client: Client) -> None:
    sid = await asid_of(client)
    async with tab(client) as socket:
        await sync_to_async(monitor.get_store().end)(sid, EndReason.REVOKED)
        for message in ("activity", "extend", "sync", "activity"):
            await socket.say(message)
        assert (await socket.hear("expired"))["reason"] == "revoked"
        assert await socket.hear_close() == 4001
    row = await MonitoredSession.objects.aget(sid=sid)
    assert row.ended_at is not None
    assert row.end_reason == "revoked"
