"""The whole of it on real servers, with short policies: what a browser would see."""

import asyncio
import json
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.servers import COMMANDS, Server, hear

IDLE = 2.0
WARN = 1.0
POLICY = {"IDLE_TIMEOUT": IDLE, "WARN_BEFORE": WARN}
LATE = 0.25
"""Seconds that a push may be late on a busy test machine; the protocol allows 1."""

every_server = pytest.mark.parametrize("name", list(COMMANDS))
Start = Callable[..., Server]


async def is_empty(server: Server) -> None:
    """The process holds nothing of ours any more, within a moment."""
    give_up_at = time.monotonic() + 5
    while (inside := server.inside())["own"]:
        assert time.monotonic() < give_up_at, inside
        await asyncio.sleep(0.05)
    assert inside["hubs"] == 0


async def close_code(tab: Any) -> int:
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(tab.recv(), 5)
    return int(tab.close_code)


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@every_server
async def test_tabs_are_warned_extended_and_expired_on_time(start: Start, name: str) -> None:
    server = start(name, POLICY)
    browser = server.browser().sign_in()
    async with browser.tab() as one, browser.tab() as two:
        began_at = (await hear(one))["at"]
        await hear(two)
        for tab in (one, two):
            warning = await hear(tab)
            assert warning["type"] == "warning"
            assert warning["at"] - began_at < IDLE - WARN + LATE
        await one.send('{"type": "extend", "id": "x"}')
        extended = await hear(one)
        assert (extended["type"], extended["id"]) == ("extended", "x")
        assert (await hear(two))["type"] == "extended"
        for tab in (one, two):
            assert (await hear(tab))["type"] == "warning"
        for tab in (one, two):
            expired = await hear(tab)
            assert (expired["type"], expired["reason"]) == ("expired", "idle")
            assert 0 <= expired["at"] - (extended["at"] + IDLE) < LATE
            assert await close_code(tab) == 4001
    assert browser.http.get("/whoami/").json() == {"user": "", "ended": "idle"}
    await is_empty(server)


@every_server
async def test_nothing_is_left_however_a_tab_goes(start: Start, name: str) -> None:
    server = start(name, {"IDLE_TIMEOUT": 600})
    browser = server.browser().sign_in()
    async with browser.tab() as tab:
        await hear(tab)
        assert server.inside()["tabs"] == 1
    await is_empty(server)
    vanishing = await browser.tab()
    await hear(vanishing)
    vanishing.transport.abort()
    await is_empty(server)
    async with browser.tab() as bad:
        await hear(bad)
        await bad.send(b"binary")
        assert await close_code(bad) == 4400
        await is_empty(server)
    silent = await browser.tab(close_timeout=0.1)
    await hear(silent)
    silent.transport.pause_reading()
    browser.post("/logout/")
    await is_empty(server)
    silent.transport.abort()


@every_server
async def test_refusals(start: Start, name: str) -> None:
    server = start(name, {"IDLE_TIMEOUT": 600, "MAX_TABS": 2})
    browser = server.browser().sign_in()
    for origin in (None, "null", "http://evil.example", f"https://{server.host}"):
        with pytest.raises(InvalidStatus) as refusal:
            await browser.tab(origin=origin)
        assert refusal.value.response.status_code == 403
    async with server.browser().tab() as nobody:
        assert await close_code(nobody) == 4401
    async with browser.tab(subprotocols=["realtime-session.v9"]) as newer:
        assert await close_code(newer) == 4406
    async with browser.tab() as tab:
        await hear(tab)
        await tab.send("x" * 2048)
        assert await close_code(tab) == 4400
    async with browser.tab() as tab:
        await hear(tab)
        for _ in range(11):
            await tab.send("{")
            assert (await hear(tab))["code"] == "bad_json"
        assert await close_code(tab) == 4400
    async with browser.tab() as tab:
        await hear(tab)
        for _ in range(60):
            await tab.send('{"type": "activity"}')
        assert (await hear(tab))["code"] == "rate_limited"
        assert await close_code(tab) == 4429
    async with browser.tab() as one, browser.tab() as two, browser.tab() as three:
        await hear(one)
        await hear(two)
        assert await close_code(three) == 4429
    await is_empty(server)
    assert "Traceback" not in server.log.read_text()


async def test_logout_in_one_tab_is_seen_in_all_at_once(start: Start) -> None:
    server = start(policy={})
    anna, ben = server.browser().sign_in("anna"), server.browser().sign_in("ben")
    async with anna.tab() as one, anna.tab() as two, ben.tab() as stranger:
        for tab in (one, two, stranger):
            await hear(tab)
        asked_at = time.monotonic()
        await asyncio.to_thread(anna.post, "/logout/")
        for tab in (one, two):
            assert (await hear(tab))["reason"] == "logout"
        assert time.monotonic() - asked_at < 1
        await stranger.send('{"type": "sync"}')
        assert (await hear(stranger))["type"] == "state"


async def test_a_killed_server_loses_no_deadline(start: Start) -> None:
    server = start(policy={"IDLE_TIMEOUT": 60, "WARN_BEFORE": 30})
    stays, leaves = server.browser().sign_in(), server.browser().sign_in("ben")
    async with stays.tab() as tab:
        state = await hear(tab)
        server.stop(signal.SIGKILL)
    # A minute passes for one of them while there is no server.
    table = "realtime_session_monitoredsession"
    (ben,) = server.sql("SELECT id FROM auth_user WHERE username = 'ben'")[0]
    for name in ("last_activity_at", "started_at", "due_after"):
        server.sql(f"UPDATE {table} SET {name} = {name} - 60 WHERE user_id = ?", str(ben))
    server.start()
    async with stays.tab() as tab:
        after = await hear(tab)
    passed = after["at"] - state["at"]
    assert after["expires_in"] == pytest.approx(state["expires_in"] - passed, abs=0.1)
    assert leaves.http.get("/whoami/").json() == {"user": "", "ended": "idle"}
    assert stays.http.get("/whoami/").json()["user"] == "anna"


@every_server
def test_a_killed_server_leaves_no_worker_behind(start: Start, name: str) -> None:
    server = start(name)
    server.stop(signal.SIGKILL)
    give_up_at = time.monotonic() + 5
    while is_open(server.port):
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


async def test_two_processes_share_the_truth_without_any_layer(start: Start) -> None:
    """Nudges do not cross; each process looks by itself when it is time, each second in a warning."""
    policy = {"IDLE_TIMEOUT": 3, "WARN_BEFORE": 1.5}
    one, two = start("daphne", policy), start("uvicorn", policy)
    browser = one.browser().sign_in()
    elsewhere = two.browser()
    elsewhere.http.cookies = browser.http.cookies
    async with browser.tab() as here, elsewhere.tab() as there:
        for tab in (here, there):
            assert (await hear(tab))["type"] == "state"
        for tab in (here, there):
            assert (await hear(tab))["type"] == "warning"
        await there.send('{"type": "extend"}')
        assert (await hear(there))["type"] == "extended"
        asked_at = time.monotonic()
        assert (await hear(here))["type"] == "extended"
        assert time.monotonic() - asked_at < 1.2
        for tab in (here, there):
            assert (await hear(tab))["type"] == "warning"
            assert (await hear(tab))["reason"] == "idle"


async def test_an_end_in_another_process_is_heard_without_any_layer(start: Start) -> None:
    policy = {"REVALIDATE_INTERVAL": 1}
    one, two = start("daphne", policy), start("daphne", policy)
    browser = one.browser().sign_in()
    elsewhere = two.browser()
    elsewhere.http.cookies = browser.http.cookies
    async with elsewhere.tab() as tab:
        assert (await hear(tab))["type"] == "state"
        await asyncio.to_thread(browser.post, "/logout/")
        asked_at = time.monotonic()
        assert (await hear(tab))["reason"] == "logout"
        assert time.monotonic() - asked_at < 2.5


async def test_many_tabs_of_many_people_are_apart(start: Start) -> None:
    server = start(policy={"IDLE_TIMEOUT": 600})
    browsers = [server.browser().sign_in(name) for name in ("anna", "ben") for _ in range(3)]
    tabs = [await browser.tab() for browser in browsers for _ in range(3)]
    for tab in tabs:
        await hear(tab)
    await tabs[0].send(json.dumps({"type": "logout"}))
    for tab in tabs[:3]:
        assert (await hear(tab))["reason"] == "logout"
    for tab in tabs[3:]:
        await tab.send('{"type": "sync"}')
        assert (await hear(tab))["type"] == "state"
        await tab.close()
    await is_empty(server)
