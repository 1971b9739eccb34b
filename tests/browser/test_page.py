"""What the template tag puts on a page works there, however strict the page is."""

import asyncio
import re

import pytest
from playwright.async_api import expect

from .conftest import LONG, SHORT, Serve, SignIn
from .user import Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("path", ["/page/", "/nonce/"])
async def test_a_strict_content_security_policy_is_not_violated(
    serve: Serve, sign_in: SignIn, path: str
) -> None:
    tab = await (await sign_in(serve())).open(path)
    await tab.is_warned()
    await expect(tab.dialog).to_have_css("border-radius", "16px")
    left = await tab.dialog.evaluate(
        "dialog => Number(getComputedStyle(dialog).getPropertyValue('--realtime-session-left'))"
    )
    assert 0 < left < 1
    await tab.stay.click()
    await tab.is_undisturbed()
    assert await tab.page.evaluate("violations") == []


async def test_the_files_have_names_that_caches_may_keep_for_ever(
    serve: Serve, sign_in: SignIn
) -> None:
    tab = await (await sign_in(serve())).open()
    files = [url for url in tab.requests if "/static/" in url]
    assert len(files) == 3
    for url in files:
        assert re.search(r"/realtime_session/(client|dialog)\.[0-9a-f]{12}\.(js|css)$", url)


async def test_the_dialog_comes_back_when_the_body_is_swapped(
    serve: Serve, sign_in: SignIn
) -> None:
    tab = await (await sign_in(serve())).open()
    await tab.page.evaluate("document.body.replaceChildren()")
    await tab.is_warned()


async def test_the_dialog_comes_on_top_of_the_pages_own(serve: Serve, sign_in: SignIn) -> None:
    tab = await (await sign_in(serve())).open()
    await tab.page.evaluate(
        """() => {
          const dialog = document.createElement("dialog");
          document.body.append(dialog);
          dialog.showModal();
        }"""
    )
    await tab.is_warned()
    await tab.stay.click()
    await tab.is_undisturbed()


async def test_a_page_that_lives_on_its_requests_alone_keeps_its_cookie(
    serve: Serve, sign_in: SignIn
) -> None:
    user = await sign_in(serve(LONG, SITE_SESSION_COOKIE_AGE="6"))
    tab = await user.open()
    async with tab.page.expect_response("**/session/refresh/") as answer:
        await tab.page.evaluate("setInterval(() => client.activity(), 300)")
    assert (await answer.value).status == 204
    await asyncio.sleep(4)
    response = await tab.page.reload()
    assert response
    assert response.url.endswith("/page/")


async def test_a_front_end_of_ones_own(serve: Serve, sign_in: SignIn) -> None:
    user = await sign_in(serve())
    page = await user.context.new_page()
    await page.goto("/headless/")
    await expect(page.locator("dialog, link, script[src]")).to_have_count(0)
    tab = Tab(page, "/headless/")
    await page.evaluate("clientOfOwn()")
    await tab.until("client.phase === 'active'")
    assert SHORT["WARN_BEFORE"] < await page.evaluate("client.expiresIn") <= SHORT["IDLE_TIMEOUT"]

    await tab.until("client.phase === 'warning'")
    assert await page.evaluate("[client.reason, client.canExtend]") == ["idle", True]
    answer = await page.evaluate("client.extend()")
    assert answer["type"] == "extended"
    assert await page.evaluate("client.phase") == "active"

    await page.evaluate("client.logout()")
    await tab.until("client.phase === 'ended'")
    assert await page.evaluate("[client.reason, client.expiresIn]") == ["logout", 0]
    assert (await page.evaluate("client.extend()"))["type"] == "expired"
    assert page.url.endswith("/headless/")
    kinds = [event["kind"] for event in await page.evaluate("events")]
    assert kinds == ["connection", "state", "warning", "extended", "connection", "expired"]
