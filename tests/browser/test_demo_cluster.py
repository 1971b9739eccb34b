"""The demo's pages on several processes say which one holds them, and hear the same from all."""

import os
import re
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.demo import cluster

from .user import sign_in_to_demo

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATIENCE = 30_000
HOLDER = re.compile(r"^(daphne|uvicorn), process (\d+)$")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with cluster(tmp_path_factory.mktemp("cluster"), DEMO_IDLE_TIMEOUT="12") as running:
        yield running.url


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser: Browser, address: str) -> AsyncIterator[BrowserContext]:
    async with await browser.new_context(base_url=address) as context:
        context.set_default_timeout(PATIENCE)
        page = await context.new_page()
        await sign_in_to_demo(page, "demo")
        yield context


async def holder(page: Page) -> tuple[str, int]:
    """The server and the process that hold a tab, as its page says."""
    shown = page.locator("#process")
    await expect(shown).to_have_text(HOLDER, timeout=PATIENCE)
    server, pid = HOLDER.match(await shown.inner_text()).groups()
    return server, int(pid)


async def test_tabs_of_two_processes_are_warned_kept_moved_and_ended(
    visitor: BrowserContext,
) -> None:
    [one] = visitor.pages
    two = await visitor.new_page()
    await two.goto("/")
    (first, pid), (second, other_pid) = await holder(one), await holder(two)
    assert {first, second} == {"daphne", "uvicorn"}
    for page in (one, two):
        await expect(page.get_by_role("alertdialog")).to_be_visible(timeout=PATIENCE)
    await two.get_by_role("button", name="Stay signed in").click()
    for page in (one, two):
        await expect(page.get_by_role("alertdialog")).to_be_hidden(timeout=PATIENCE)
    os.kill(pid, signal.SIGKILL)
    await expect(one.locator("#log")).to_contain_text("closed")
    server, now = await holder(one)
    assert now != pid
    assert (server, now) == (second, other_pid) or server == first
    for page in (one, two):
        await page.wait_for_url(re.compile("/login/"), timeout=PATIENCE)
        await expect(page.locator(".messages")).to_contain_text("no activity")
