"""However a session ended, its cookie is nobody's from then on; and what is not to end it does not."""

import asyncio
import time

from tests.engines import copy_of
from tests.servers import Server, hear

from .facts import LATE, expires, fact, get, is_alive, sid_of, sign_in, stays_ended

GRACE = 4.0


@fact
async def what_was_idle_stays_ended(server: Server) -> None:
    browser = await sign_in(server, idle_timeout=3, warn_before=1)
    copy = copy_of(browser)
    async with browser.tab() as tab:
        assert (await hear(tab))["idle_timeout"] == 3
        await expires(tab, "idle")
    await stays_ended(copy, "idle")


@fact
async def nothing_moves_the_absolute_end_but_a_full_login(server: Server) -> None:
    browser = await sign_in(server, idle_timeout=60, absolute_timeout=4, warn_before=1)
    await asyncio.sleep(1.5)
    earliest = time.monotonic() + 4
    await asyncio.to_thread(browser.sign_in, idle_timeout=60, absolute_timeout=4, warn_before=1)
    latest = time.monotonic() + 4
    copy = copy_of(browser)
    async with browser.tab() as tab:
        state = await hear(tab)
        assert (state["reason"], state["can_extend"]) == ("absolute", False)
        while time.monotonic() < latest - 0.7:
            await tab.send('{"type": "activity"}')
            await tab.send('{"type": "extend"}')
            await get(browser, "/write/")
            await asyncio.to_thread(browser.post, "/session/extend/")
            await asyncio.sleep(0.4)
        heard = []
        while not heard or heard[-1]["type"] != "expired":
            heard.append(await hear(tab))
        assert earliest - 0.2 < time.monotonic() < latest + LATE
    warnings = [message for message in heard if message["type"] == "warning"]
    assert [(each["reason"], each["can_extend"]) for each in warnings] == [("absolute", False)]
    assert heard[-1]["reason"] == "absolute"
    await stays_ended(copy, "absolute")


@fact
async def who_signed_out_stays_signed_out(server: Server) -> None:
    browser = await sign_in(server)
    await get(browser, "/write/")
    copy = copy_of(browser)
    async with browser.tab() as tab:
        await hear(tab)
        await asyncio.to_thread(browser.post, "/logout/")
        await expires(tab, "logout")
    await stays_ended(copy, "logout")


@fact
async def what_was_revoked_stays_ended(server: Server) -> None:
    browser = await sign_in(server)
    copy, sid = copy_of(browser), await sid_of(browser)
    async with browser.tab() as tab:
        await hear(tab)
        await get(server.browser(), "/end-elsewhere/", sid=sid)
        await expires(tab, "revoked")
    await stays_ended(copy, "revoked")


@fact
async def what_lost_its_last_tab_stays_ended(server: Server) -> None:
    browser = await sign_in(server, tab_close_grace=GRACE)
    copy = copy_of(browser)
    async with browser.tab() as one:
        await hear(one)
        async with browser.tab() as two:
            await hear(two)
        await asyncio.sleep(GRACE + 0.5)
        await is_alive(browser)
    await asyncio.sleep(GRACE + 0.7)
    await stays_ended(copy, "closed")


@fact
async def what_is_loaded_anew_goes_on(server: Server) -> None:
    browser = await sign_in(server, tab_close_grace=GRACE)
    for _ in range(3):
        async with browser.tab() as tab:
            await hear(tab)
        await asyncio.sleep(GRACE / 2)
        page = await asyncio.to_thread(browser.http.get, "/")
        assert page.status_code == 200
    await is_alive(browser)
