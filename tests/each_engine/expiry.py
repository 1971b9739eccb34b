"""What a project says with ``set_expiry``."""

import asyncio
from typing import Any

from websockets.asyncio.client import ClientConnection

from tests.engines import copy_of
from tests.servers import Server, hear, hear_only

from .facts import LATE, expires, fact, get, is_alive, sign_in, stays_ended


async def ends_as_it_was_set(tab: ClientConnection, state: dict[str, Any]) -> None:
    assert (state["reason"], state["can_extend"]) == ("absolute", False)
    assert 0 < state["absolute_expires_in"] <= 6
    warning = await hear_only(tab, "warning")
    assert (warning["reason"], warning["can_extend"]) == ("absolute", False)
    await tab.send('{"type": "extend", "id": "x"}')
    assert not (await hear_only(tab, "extended"))["can_extend"]
    ended_at = await expires(tab, "absolute")
    assert 0 <= ended_at - state["at"] - state["absolute_expires_in"] < LATE


@fact
async def an_end_that_was_set_at_the_login_is_kept(server: Server) -> None:
    browser = server.browser()
    await get(browser, "/login-with-expiry/", seconds=6, warn_before=2, **{"as": "datetime"})
    copy = copy_of(browser)
    async with browser.tab() as tab:
        await ends_as_it_was_set(tab, await hear(tab))
    await stays_ended(copy, "absolute")


@fact
async def an_end_that_was_set_in_between_is_kept(server: Server) -> None:
    browser = await sign_in(server, warn_before=2)
    async with browser.tab() as tab:
        assert (await hear(tab))["absolute_expires_in"] is None
        await get(browser, "/set-expiry/", seconds=6, **{"as": "timedelta"})
        copy = copy_of(browser)
        await tab.send('{"type": "sync"}')
        await ends_as_it_was_set(tab, await hear(tab))
    await stays_ended(copy, "absolute")


@fact
async def an_end_that_was_taken_back_does_not_come(server: Server) -> None:
    browser = server.browser()
    await get(browser, "/login-with-expiry/", seconds=5, warn_before=3, **{"as": "timedelta"})
    async with browser.tab() as tab:
        assert (await hear(tab))["reason"] == "absolute"
        await hear_only(tab, "warning")
        await get(browser, "/set-expiry/")
        extended = await hear_only(tab, "extended")
        assert extended["can_extend"]
        assert extended["expires_in"] > 890
    await is_alive(browser)


@fact
async def fewer_seconds_than_the_policys_are_the_idle_timeout(server: Server) -> None:
    browser = await sign_in(server, warn_before=1)
    await get(browser, "/set-expiry/", seconds=6)
    async with browser.tab() as tab:
        state = await hear(tab)
        assert (state["idle_timeout"], state["reason"]) == (6, "idle")
        await asyncio.sleep(1.5)
        await tab.send('{"type": "activity"}')
        # What Django saved would lapse before the deadline that this moved: it is renewed in time.
        refresh = await hear(tab)
        assert refresh["type"] == "refresh"
        assert (await asyncio.to_thread(browser.post, refresh["url"])).status_code == 204
        copy = copy_of(browser)
        ended_at = await expires(tab, "idle")
        assert 1.5 + 6 - 0.5 < ended_at - state["at"] < 1.5 + 6 + LATE
    await stays_ended(copy, "idle")


@fact
async def the_browsers_end_is_the_cookies_alone(server: Server) -> None:
    browser = await sign_in(server, idle_timeout=3, warn_before=1)
    answer = await get(browser, "/set-expiry/", seconds=0)
    assert "Max-Age" not in answer.headers["Set-Cookie"]
    async with browser.tab() as tab:
        state = await hear(tab)
        assert (state["idle_timeout"], state["absolute_expires_in"]) == (3, None)
        await expires(tab, "idle")
    await stays_ended(copy_of(browser), "idle")
