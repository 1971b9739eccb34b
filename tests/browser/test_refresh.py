"""Somebody types, and sends nothing: Django's session and its cookie are renewed meanwhile, by one tab."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Route

from .conftest import Serve, SignIn
from .user import Tab, User

pytestmark = pytest.mark.asyncio(loop_scope="session")

COOKIE_AGE = 8
TIMES = 3
POLICY = {"IDLE_TIMEOUT": 60, "WARN_BEFORE": 20, "REVALIDATE_INTERVAL": 2}
REFRESH = "/session/refresh/"


@asynccontextmanager
async def typing(tab: Tab) -> AsyncIterator[None]:
    """A person writes an answer, as the browser sees it: with trusted input."""
    await tab.page.locator("#work").click()

    async def write() -> None:
        while True:
            await tab.page.keyboard.type("So much to say. ")
            await asyncio.sleep(0.4)

    writing = asyncio.create_task(write())
    yield
    writing.cancel()
    await asyncio.wait({writing})


async def cookie_of(user: User) -> dict[str, object] | None:
    cookies = {cookie["name"]: cookie for cookie in await user.context.cookies()}
    return cookies.get("sessionid")


async def is_still_signed_in(user: User, tab: Tab) -> None:
    assert await cookie_of(user), "the browser has not dropped it"
    assert not await tab.events("expired")
    response = await tab.page.reload()
    assert response is not None
    assert response.url.endswith("/page/"), "and not at the login"


@pytest.mark.parametrize("save_every_request", [False, True])
@pytest.mark.parametrize("browser_session", [False, True])
async def test_typing_for_many_times_the_cookie_age_keeps_one_signed_in(
    serve: Serve, sign_in: SignIn, save_every_request: bool, browser_session: bool
) -> None:
    variables = {"SITE_SESSION_COOKIE_AGE": str(COOKIE_AGE)}
    if save_every_request:
        variables["TESTS_SESSION_SAVE_EVERY_REQUEST"] = "1"
    if browser_session:
        variables["TESTS_SESSION_EXPIRE_AT_BROWSER_CLOSE"] = "1"
    user = await sign_in(serve(POLICY, **variables))
    tab = await user.open()
    cookie = await cookie_of(user)
    assert cookie
    assert (cookie["expires"] == -1) is browser_session
    asked = len(tab.requests)
    async with typing(tab):
        await asyncio.sleep(COOKIE_AGE * TIMES)
    sent = tab.requests[asked:]
    assert all(url.endswith(REFRESH) for url in sent), "nothing else was sent"
    assert TIMES <= len(sent) <= 2 * TIMES + 1, "about every half cookie age"
    await is_still_signed_in(user, tab)


async def test_one_tab_is_asked(serve: Serve, sign_in: SignIn) -> None:
    user = await sign_in(serve(POLICY, SITE_SESSION_COOKIE_AGE=str(COOKIE_AGE)))
    tabs = [await user.open() for _ in range(3)]
    async with typing(tabs[-1]):
        await asyncio.sleep(COOKIE_AGE * TIMES)
    sent = sum(tab.count(REFRESH) for tab in tabs)
    assert TIMES <= sent <= 2 * TIMES + 1, "as often as one tab alone"
    await is_still_signed_in(user, tabs[-1])


async def test_another_tab_is_asked_where_one_does_not_do_it(serve: Serve, sign_in: SignIn) -> None:
    """As a frozen tab, which gets the message and does nothing."""
    user = await sign_in(serve(POLICY, SITE_SESSION_COOKIE_AGE=str(COOKIE_AGE)))
    lame, able = await user.open(), await user.open()
    refused = 0

    async def refuse(route: Route) -> None:
        nonlocal refused
        refused += 1
        await route.abort()

    await lame.page.route(f"**{REFRESH}", refuse)
    async with typing(able):
        await asyncio.sleep(COOKIE_AGE * TIMES)
    assert refused >= 1
    assert able.count(REFRESH) >= TIMES
    await is_still_signed_in(user, able)
