"""``TAB_CLOSE_GRACE`` on real servers: a session ends soon after its last tab, and after nothing less."""

import asyncio
import signal
from collections.abc import Callable

import pytest

from tests.servers import Browser, Server, hear

GRACE = 2.0
POLICY = {"IDLE_TIMEOUT": 600, "TAB_CLOSE_GRACE": GRACE}
NAVIGATE = {"Sec-Fetch-Mode": "navigate"}
BACKGROUND = {"Sec-Fetch-Mode": "cors"}
each_server = pytest.mark.parametrize("name", ["daphne", "uvicorn"])
Start = Callable[..., Server]


async def visit(browser: Browser, seconds: float = 0.2) -> None:
    """Hold a tab open for a moment."""
    async with browser.tab() as tab:
        assert (await hear(tab))["type"] == "state"
        await asyncio.sleep(seconds)


def who(browser: Browser) -> dict[str, str | None]:
    return dict(browser.http.get("/whoami/", headers=BACKGROUND).json())


def reason_in_store(server: Server) -> str:
    return str(server.sql("SELECT end_reason FROM realtime_session_monitoredsession")[0][0])


async def test_a_session_ends_when_its_last_tab_stays_away(start: Start) -> None:
    server = start(policy=POLICY)
    browser = server.browser().sign_in()
    async with browser.tab() as one:
        await hear(one)
        await visit(browser, GRACE + 0.5)
        assert reason_in_store(server) == "", "another tab is still open"
    await asyncio.sleep(GRACE - 0.5)
    assert reason_in_store(server) == ""
    await asyncio.sleep(1)
    assert reason_in_store(server) == "closed", "without any request"
    assert not server.inside()["own"]
    assert who(browser) == {"user": "", "ended": "closed"}


async def test_a_restored_browser_finds_its_session_ended(start: Start) -> None:
    server = start(policy=POLICY)
    browser = server.browser().sign_in()
    await visit(browser)
    await asyncio.sleep(GRACE + 0.5)
    async with browser.tab() as tab:
        assert (await hear(tab))["reason"] == "closed"


async def test_a_crashed_browser_is_a_closed_one(start: Start) -> None:
    server = start(policy=POLICY)
    browser = server.browser().sign_in()
    tab = await browser.tab()
    await hear(tab)
    tab.transport.abort()
    await asyncio.sleep(GRACE + 0.8)
    assert who(browser) == {"user": "", "ended": "closed"}


async def test_reloads_and_navigation_keep_the_session(start: Start) -> None:
    server = start(policy=POLICY)
    browser = server.browser().sign_in()
    for _ in range(4):
        browser.http.get("/", headers=NAVIGATE)
        await visit(browser, GRACE / 2)
    assert who(browser)["user"] == "anna"


async def test_a_page_without_the_monitor_keeps_the_session(start: Start) -> None:
    server = start(policy=POLICY)
    browser = server.browser().sign_in()
    async with browser.tab() as tab:
        await hear(tab)
        browser.http.get("/untouched/", headers=NAVIGATE)
    await asyncio.sleep(GRACE + 1)
    assert who(browser)["user"] == "anna"
    await visit(browser)
    await asyncio.sleep(GRACE + 0.5)
    assert who(browser)["ended"] == "closed"


async def test_a_last_request_in_the_background_does_not_keep_it(start: Start) -> None:
    server = start(policy=POLICY)
    browser = server.browser().sign_in()
    await visit(browser)
    browser.http.get("/whoami/", headers=BACKGROUND)
    await asyncio.sleep(GRACE + 0.5)
    assert who(browser)["ended"] == "closed"


@each_server
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_server_that_restarts_ends_no_session(
    start: Start, name: str, number: signal.Signals
) -> None:
    server = start(name, {**POLICY, "SWEEP_INTERVAL": 0.5})
    browser = server.browser().sign_in()
    other = server.browser().sign_in("ben")
    async with browser.tab() as tab:
        await hear(tab)
        await asyncio.sleep(0.3)
        server.stop(number)
    await asyncio.sleep(GRACE + 0.5)
    server.start()
    async with other.tab() as stranger:
        # Somebody's tab keeps the new process sweeping.
        await hear(stranger)
        await asyncio.sleep(1)
        await visit(browser)
        assert who(browser)["user"] == "anna"


async def test_two_processes_count_their_tabs_together(start: Start) -> None:
    one, two = start("daphne", POLICY), start("uvicorn", POLICY)
    browser = one.browser().sign_in()
    elsewhere = two.browser()
    elsewhere.http.cookies = browser.http.cookies
    async with elsewhere.tab() as tab:
        await hear(tab)
        await visit(browser)
        await asyncio.sleep(GRACE + 0.5)
        assert who(browser)["user"] == "anna"
    await asyncio.sleep(GRACE + 0.5)
    assert who(browser)["ended"] == "closed"
