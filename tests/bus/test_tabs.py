"""Tabs while the channel layer is away: their sockets stay open, no deadline waits, and nothing is missed."""

import asyncio
import logging
import time

import pytest

from realtime_session.looks import looks
from realtime_session.policy import EndReason
from realtime_session.stores import get_store
from tests.ages import aage, asid_of
from tests.sockets import tab

from .conftest import PATIENCE, send_from_elsewhere

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def only_our_log(caplog):
    caplog.set_level(logging.CRITICAL, "channels_redis")


@pytest.fixture
def client(anna, sign_in, layer):
    return sign_in(anna)


async def state_of(socket):
    """What a sync is answered, whatever else is said before."""
    await socket.say("sync")
    while (message := await socket.hear())["type"] != "state":
        pass
    return message


async def test_deadline_is_met_while_redis_is_away(client, redis):
    async with tab(client) as socket:
        redis.stop()
        await asyncio.sleep(0.5)
        await aage(client, 897.5)
        state, asked_at = await state_of(socket), time.monotonic()
        assert state["phase"] == "warning"
        await socket.hear("expired")
        assert abs(time.monotonic() - asked_at - state["expires_in"]) < 0.5


async def test_socket_that_opens_while_redis_is_away_works(client, redis):
    redis.stop()
    async with tab(client) as socket:
        await socket.say("activity")
        assert (await state_of(socket))["phase"] == "active"


@pytest.mark.parametrize("outage", ["restart", "freeze", "kill"])
async def test_end_whose_nudge_was_lost_is_heard_after_the_outage(
    client, redis, outage, monkeypatch
):
    monkeypatch.setattr("realtime_session.nudges.SEND_TIMEOUT", 0.5)
    async with tab(client) as socket:
        # The link has looked at everything as it joined.
        await asyncio.sleep(1)
        if outage == "restart":
            redis.stop()
        elif outage == "kill":
            redis.ask("CLIENT", "KILL", "TYPE", "normal")
            redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
        else:
            redis.ask("CLIENT", "PAUSE", "2000")
            await asyncio.sleep(1)
        await get_store().aend(await asid_of(client), EndReason.REVOKED)
        if outage == "restart":
            assert await socket.receive_nothing(timeout=0.5)
            redis.start()
        assert (await socket.hear("expired"))["reason"] == "revoked"
        assert await socket.hear_close() == 4001


async def test_nudge_from_another_process_drops_what_requests_remember(
    client, backend, redis, monkeypatch
):
    # So that time alone drops nothing.
    monkeypatch.setattr(looks, "_clock", lambda: 0.0)
    sid = await asid_of(client)
    async with tab(client) as socket:
        await state_of(socket)
        # The link has looked at everything as it joined.
        await asyncio.sleep(1)
        now, records = await get_store().aget([sid])
        looks.remember("cookie", records[sid], now, counted=True)
        await asyncio.to_thread(send_from_elsewhere, backend, redis, [sid])
        give_up_at = time.monotonic() + PATIENCE
        while looks.recall("cookie") is not None:
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0.02)
