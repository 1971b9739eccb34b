"""The demo's pages do in a browser what they promise."""

import re
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.demo import demo

from .user import sign_in_to_demo

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with demo(tmp_path_factory.mktemp("demo"), DEMO_IDLE_TIMEOUT="8") as client:
        yield str(client.base_url)


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, address: str) -> AsyncIterator[Page]:
    """Signed in as a member of staff, at the first page; whatever the console says is an error."""
    async with await browser.new_context(base_url=address) as context:
        page = await context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(error.message))
        await sign_in_to_demo(page, "admin")
        yield page
        assert complaints == []


async def ends(page: Page) -> None:
    await page.wait_for_url(re.compile("/login/"), timeout=20_000)
    await expect(page.locator(".messages")).to_contain_text("no activity")


async def test_live_page_shows_what_the_socket_says(page: Page) -> None:
    await expect(page.locator("#phase")).to_have_text("active")
    await expect(page.locator("#log")).to_contain_text("← state")
    await expect(page.locator("#time-left")).to_have_text(re.compile("0:0[1-8]"))
    await page.get_by_role("button", name="Stay signed in").click(timeout=20_000)
    await expect(page.locator("#log")).to_contain_text("→ extend")
    await expect(page.locator("#log")).to_contain_text("← extended")
    await ends(page)


async def test_candle_keeps_and_ends_the_session(page: Page) -> None:
    await page.goto("/custom/")
    candle = page.locator("#candle")
    await expect(candle).to_have_attribute("data-phase", "active")
    await expect(candle).to_have_attribute("data-phase", "warning", timeout=20_000)
    await page.get_by_role("button", name="Stay").click()
    await expect(candle).to_have_attribute("data-phase", "active")
    await expect(candle).to_have_attribute("data-phase", "ended", timeout=20_000)
    await ends(page)


async def test_draft_survives_until_it_is_handed_in(page: Page) -> None:
    await page.goto("/exam/")
    await page.get_by_role("textbox").fill("time is short")
    await page.reload()
    await expect(page.locator("#words")).to_have_text("3 words")
    await page.get_by_role("button", name="Hand in").click()
    await expect(page.locator(".messages")).to_contain_text("3 words")
    await expect(page.get_by_role("textbox")).to_have_value("")


async def test_admin_is_warned_too(page: Page) -> None:
    await page.goto("/admin/realtime_session/monitoredsession/")
    await expect(page.get_by_role("alertdialog")).to_be_visible(timeout=20_000)
