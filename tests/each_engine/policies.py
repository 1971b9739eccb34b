"""Policies, of a project's own making and given to a session while it runs."""

import asyncio

from tests.engines import copy_of
from tests.servers import Server, hear

from .facts import expires, fact, get, is_alive, sign_in, stays_ended


@fact
async def each_session_has_the_policy_of_its_login_for_all_who_look(server: Server) -> None:
    short = await sign_in(server, idle_timeout=5, warn_before=2, absolute_timeout=300)
    usual = await sign_in(server)
    for browser, idle_timeout, warn_before in ((short, 5, 2), (usual, 900, 120)):
        over_http = (await get(browser, "/session/state/")).json()
        async with browser.tab() as tab:
            over_socket = await hear(tab)
        for state in (over_http, over_socket):
            assert (state["idle_timeout"], state["warn_before"]) == (idle_timeout, warn_before)
            assert (state["absolute_expires_in"] is None) is (browser is usual)
    copy = copy_of(short)
    await asyncio.sleep(5.2)
    assert (await get(copy, "/whoami/")).json() == {"user": "", "ended": "idle"}
    await is_alive(usual)


@fact
async def another_policy_is_heard_in_open_tabs(server: Server) -> None:
    browser = await sign_in(server)
    copy = copy_of(browser)
    async with browser.tab() as one, browser.tab() as two:
        for tab in (one, two):
            assert (await hear(tab))["idle_timeout"] == 900
        assert (await get(browser, "/apply-policy/", idle=30, warn=29.9)).text == "True"
        for tab in (one, two):
            warning = await hear(tab)
            assert (warning["type"], warning["can_extend"]) == ("warning", True)
            assert 20 < warning["expires_in"] <= 30
        await get(browser, "/apply-policy/", idle=600, warn=60)
        for tab in (one, two):
            extended = await hear(tab)
            assert extended["type"] == "extended"
            assert 590 < extended["expires_in"] <= 600
        await get(browser, "/apply-policy/", idle=0.2, warn=0.1)
        for tab in (one, two):
            await expires(tab, "idle")
    await stays_ended(copy, "idle")
