"""What "Back" shows after the end, with NO_STORE: nothing."""

import asyncio
import json

import pytest
from playwright.async_api import expect

from .conftest import SHORT, Serve, SignIn
from .user import User

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOTE_WHAT_IS_SHOWN = """
addEventListener("pageshow", () => {
  const shown = JSON.parse(sessionStorage.shown ?? "[]");
  sessionStorage.shown = JSON.stringify([...shown, document.querySelector("h1")?.textContent ?? ""]);
});
"""


async def go_back(user: User, path: str, end: str) -> list[str]:
    """What a tab shows that leaves a page, hears of the end in some way, and goes back; one entry a page."""
    page = await user.context.new_page()
    await page.add_init_script(NOTE_WHAT_IS_SHOWN)
    await page.goto(path)
    await page.goto("/public/")
    pages = 1
    if end == "logout":
        cookies = {cookie["name"]: cookie["value"] for cookie in await user.context.cookies()}
        headers = {"X-CSRFToken": cookies["csrftoken"]}
        await page.evaluate("headers => fetch('/leave/', {method: 'POST', headers})", headers)
    else:
        await asyncio.sleep(SHORT["IDLE_TIMEOUT"] + 1)
    if end == "idle, and seen":
        await page.goto("/page/")
        pages += 1
    await page.evaluate("pages => history.go(-pages)", pages)
    await expect(page).to_have_url(f"/login/?next={path}")
    return json.loads(await page.evaluate("sessionStorage.shown"))


@pytest.mark.parametrize("end", ["idle", "idle, and seen", "logout"])
async def test_a_page_with_the_dialog_is_not_shown_again(
    serve: Serve, sign_in: SignIn, end: str
) -> None:
    user = await sign_in(serve({**SHORT, "NO_STORE": True}))
    assert (await go_back(user, "/page/", end)).count("Confidential") == 1


# Until the browser hears of the end, Chromium may show such a page again: nobody told it that there was one.
@pytest.mark.parametrize("end", ["idle, and seen", "logout"])
async def test_a_page_without_it_is_not_either_once_the_cookie_is_gone(
    serve: Serve, sign_in: SignIn, end: str
) -> None:
    user = await sign_in(serve({**SHORT, "NO_STORE": True}))
    assert (await go_back(user, "/bare/", end)).count("Confidential") == 1
