"""Tabs that were asleep, frozen, or in the page cache: the server judges, not they."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import expect

from .conftest import LONG, SHORT, Serve, SignIn
from .user import Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONGER_THAN_IDLE = SHORT["IDLE_TIMEOUT"] + 1
SLEEP_AN_HOUR = "const now = Date.now; Date.now = () => now() + 3_600_000"


@asynccontextmanager
async def stopped(tab: Tab) -> AsyncIterator[None]:
    """No timer runs, and messages queue, as in a frozen tab; a tab in front cannot be frozen truly."""
    devtools = await tab.page.context.new_cdp_session(tab.page)
    await devtools.send("Debugger.enable")
    await devtools.send("Debugger.pause")
    yield
    await devtools.send("Debugger.disable")


async def test_a_tab_believes_nothing_that_was_queued_while_it_was_frozen(
    serve: Serve, sign_in: SignIn
) -> None:
    user = await sign_in(serve())
    frozen, awake = await user.open(), await user.open()
    async with stopped(frozen):
        await awake.is_warned()
        await asyncio.sleep(1)
        await awake.page.evaluate("client.extend()")
        await awake.page.evaluate("setInterval(() => client.activity(), 300)")
        await asyncio.sleep(SHORT["IDLE_TIMEOUT"])
    await frozen.until("events.some(({ kind }) => kind === 'uncertain')")
    await frozen.until("!client.uncertain && client.phase === 'active'")
    kinds = [event["kind"] for event in await frozen.page.evaluate("events")]
    assert kinds[-2:] == ["uncertain", "state"]
    assert "warning" not in kinds
    assert "expired" not in kinds
    await frozen.is_undisturbed()


async def test_a_tab_that_thaws_after_the_end_is_told_of_it(serve: Serve, sign_in: SignIn) -> None:
    tab = await (await sign_in(serve())).open()
    async with stopped(tab):
        await asyncio.sleep(LONGER_THAN_IDLE)
    await tab.is_told_at_login("idle")


async def go_away_and_come_back(
    tab: Tab, after: float, meanwhile: Callable[[], None] = lambda: None
) -> None:
    # What the listener sees is what is painted first: it comes after the client's.
    await tab.page.evaluate(
        """addEventListener("pageshow", ({ persisted }) => {
          const dialog = document.getElementById("realtime-session");
          sessionStorage.came = JSON.stringify({ persisted, view: dialog.open && dialog.dataset.view });
        })"""
    )
    await tab.page.goto("/public/")
    await asyncio.sleep(after)
    meanwhile()
    await tab.page.evaluate("history.back()")


async def what_was_seen_on_return(tab: Tab) -> dict[str, object]:
    return await tab.page.evaluate("JSON.parse(sessionStorage.came)")


async def test_a_page_from_the_cache_connects_again(serve: Serve, sign_in: SignIn) -> None:
    tab = await (await sign_in(serve())).open()
    await tab.page.get_by_label("Work").fill("not lost")
    await go_away_and_come_back(tab, after=0.2)
    await expect(tab.page).to_have_title("Page")
    await tab.until("client.connected")
    assert await what_was_seen_on_return(tab) == {"persisted": True, "view": False}
    await expect(tab.page.get_by_label("Work")).to_have_value("not lost")
    await tab.is_warned()


async def test_a_page_from_the_cache_is_covered_before_it_is_seen(
    serve: Serve, sign_in: SignIn
) -> None:
    tab = await (await sign_in(serve())).open()
    await go_away_and_come_back(tab, after=LONGER_THAN_IDLE)
    await tab.is_told_at_login("idle")
    assert await what_was_seen_on_return(tab) == {"persisted": True, "view": "checking"}


async def test_a_page_from_the_cache_is_not_shown_for_long_before_the_server_answers(
    serve: Serve, sign_in: SignIn
) -> None:
    server = serve(LONG)
    tab = await (await sign_in(server)).open()
    await go_away_and_come_back(tab, after=0.2, meanwhile=server.silence)
    await expect(tab.page).to_have_title("Page")
    await expect(tab.dialog).to_be_visible()
    assert await tab.view() == "checking"
    assert await what_was_seen_on_return(tab) == {"persisted": True, "view": False}
    assert await tab.page.evaluate("client.expiresIn") > 30
    server.unsilence()
    await tab.is_undisturbed()
    assert await tab.page.evaluate("client.phase") == "active"


async def test_the_first_touch_after_sleep_covers_the_page_until_the_server_answers(
    serve: Serve, sign_in: SignIn
) -> None:
    server = serve()
    tab = await (await sign_in(server)).open()
    server.silence()
    await tab.page.evaluate(SLEEP_AN_HOUR)
    await tab.page.keyboard.press("Shift")
    await expect(tab.dialog).to_be_visible()
    assert await tab.view() == "checking"
    server.unsilence()
    await tab.is_undisturbed()


async def test_sleep_is_noticed_without_a_touch(serve: Serve, sign_in: SignIn) -> None:
    tab = await (await sign_in(serve(LONG))).open()
    await tab.page.evaluate(SLEEP_AN_HOUR)
    await tab.until("events.some(({ kind }) => kind === 'uncertain')")
    await tab.until("!client.uncertain")
    assert await tab.page.evaluate("client.expiresIn") > 30


async def test_no_tab_ends_a_session_by_its_own_clock(serve: Serve, sign_in: SignIn) -> None:
    server = serve()
    tab = await (await sign_in(server)).open()
    await tab.is_warned()
    server.silence()
    await tab.page.evaluate(
        """() => {
          window.closings = 0;
          document.getElementById("realtime-session").addEventListener("close", () => closings++);
        }"""
    )
    await tab.until("client.expiresIn === 0")
    await tab.until("document.getElementById('realtime-session').dataset.view === 'checking'")
    await expect(tab.clock).to_be_hidden()
    await tab.page.keyboard.press("Escape")
    await asyncio.sleep(1)
    assert await tab.view() == "checking"
    assert not await tab.events("expired")
    assert await tab.page.evaluate("closings") == 1, "only from one view to the next"
    server.unsilence()
    await tab.is_told_at_login("idle")
