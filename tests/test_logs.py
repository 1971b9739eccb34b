"""What is in the log of a real server: all that an operator needs, and nothing that opens a session."""

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from docs.operations import LEVELS, PACKAGE, events
from docs.words import EVENTS
from realtime_session.logs import get_logger, short
from tests.servers import Browser, Server, hear
from tests.test_servers import close_code

Start = Callable[..., Server]
POLICY = {"IDLE_TIMEOUT": 2.5, "WARN_BEFORE": 1.5}
TABLE = "realtime_session_monitoredsession"


async def until(tab: ClientConnection, type: str) -> dict[str, Any]:
    while True:
        message = await asyncio.wait_for(hear(tab), 10)
        if message["type"] == type:
            return message


def records(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


async def live(server: Server, seen: set[str]) -> None:
    """Sign in and out, work, be warned, say nonsense, and idle until the end."""
    idle, leaver = server.browser().sign_in("anna"), server.browser().sign_in("ben")
    seen.update(browser.http.cookies["sessionid"] for browser in (idle, leaver))
    async with idle.tab() as one, idle.tab() as two, leaver.tab() as three:
        for tab in (one, two, three):
            await until(tab, "state")
        await one.send('{"type": "activity"}')
        await one.send('{"type": "say\\nmore", "id": "secret-of-a-person"}')
        await until(one, "error")
        await asyncio.to_thread(leaver.post, "/logout/")
        await until(three, "expired")
        await until(two, "warning")
        await two.send('{"type": "extend"}')
        await until(one, "extended")
        assert (await until(one, "expired"))["reason"] == "idle"
    stray = server.browser()
    stray.http.cookies.set("sessionid", "stolen\u00e9")
    async with server.browser().tab() as nobody:
        assert await close_code(nobody) == 4401


async def fail(server: Server, seen: set[str]) -> None:
    """Lose the store, with people there."""
    browser: Browser = server.browser().sign_in("anna")
    seen.add(browser.http.cookies["sessionid"])
    async with browser.tab() as tab:
        await until(tab, "state")
        server.sql(f"ALTER TABLE {TABLE} RENAME TO lost")
        await tab.send('{"type": "extend"}')
        await until(tab, "error")
        assert browser.http.get("/ready-to-fail/").status_code in (404, 503)
        async with browser.tab() as newcomer:
            await until(newcomer, "error")
        server.sql(f"ALTER TABLE lost RENAME TO {TABLE}")


async def test_log_names_sessions_by_the_beginning_of_their_sids_and_nothing_more(
    start: Start, tmp_path: Path
) -> None:
    log, secrets = tmp_path / "log.json", set[str]()
    server = start("uvicorn", POLICY, TESTS_LOG=str(log))
    await live(server, secrets)
    await fail(server, secrets)
    await asyncio.to_thread(server.stop)
    sids = {sid for (sid,) in server.sql(f"SELECT sid FROM {TABLE}")}
    assert len(sids) == 3
    secrets |= {key for (key,) in server.sql(f"SELECT session_key FROM {TABLE}") if key}
    text = log.read_text()
    for secret in sids | secrets | {"secret-of-a-person"}:
        assert secret not in text
        # No more of it than agreed.
        assert secret not in sids or secret[:9] not in text
    ours = [each for each in records(log) if each["logger"].startswith("realtime_session")]
    assert {each["event"] for each in ours} >= {
        "session_started",
        "session_ended",
        "request_without_store",
        "socket_not_served",
    }
    known = {(e.name, e.level, e.logger): set(e.fields) for e in events()}
    for each in ours:
        fields = known[each["event"], each["level"], each["logger"]]
        assert set(each) == {"event", "level", "logger", "message", "template", *fields}
    assert {short(sid) for sid in sids} == {
        each["sid"] for each in ours if each["event"] == "session_started"
    }
    ends = {each["sid"]: each["reason"] for each in ours if each["event"] == "session_ended"}
    assert sorted(ends.values())[:2] == ["idle", "logout"]
    assert not [each for each in ours if each["level"] == "ERROR"]


def test_every_module_takes_its_logger_where_it_is_counted() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.stem != "logs":
            assert "logging.getLogger" not in path.read_text(), path


def test_each_event_has_one_level_and_a_sentence() -> None:
    found = {(event.name, event.level) for event in events()}
    assert sorted(name for name, _ in found) == sorted(EVENTS)


def test_levels_are_those_of_the_logging_module() -> None:
    assert all(logging.getLevelName(level) for level in LEVELS.values())


@pytest.mark.parametrize("sid", ["", "1234567", "12345678", "123456789", "a" * 32])
def test_short_sid_is_its_beginning(sid: str) -> None:
    assert short(sid) == sid[:8]


def test_logger_is_that_of_the_module_and_counted_once() -> None:
    logger = get_logger("realtime_session.tests")
    assert get_logger("realtime_session.tests") is logger is logging.getLogger(logger.name)
    assert len(logger.filters) == 1
