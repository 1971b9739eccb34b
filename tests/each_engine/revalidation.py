"""Sessions that Django would not accept any more, and those that it would although much has changed."""

import asyncio
import time
from functools import partial

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.engines import SIGNED_COOKIES, copy_of, key_of
from tests.servers import Server, hear

from .facts import SETTINGS, expires, fact, get, is_alive, restarts, sid_of, sign_in, stays_ended

LATEST = SETTINGS["REVALIDATE_INTERVAL"] + 1.5


async def is_revoked_when(server: Server, name: str, statement: str) -> None:
    browser, other = await sign_in(server, name), await sign_in(server)
    async with browser.tab() as tab, other.tab() as stranger:
        await hear(tab)
        await hear(stranger)
        server.sql(statement, name)
        began_at = time.monotonic()
        await expires(tab, "revoked")
        assert time.monotonic() - began_at < LATEST
        await stranger.send('{"type": "sync"}')
        assert (await hear(stranger))["type"] == "state"
    assert (await get(copy_of(browser), "/whoami/")).json()["user"] == ""


@fact
async def who_was_deactivated_is_revoked(server: Server) -> None:
    await is_revoked_when(server, "ben", "UPDATE auth_user SET is_active = 0 WHERE username = ?")


@fact
async def who_was_deleted_is_revoked(server: Server) -> None:
    await is_revoked_when(server, "carla", "DELETE FROM auth_user WHERE username = ?")


@fact
async def whose_password_others_changed_is_revoked(server: Server) -> None:
    await is_revoked_when(
        server, "dora", "UPDATE auth_user SET password = 'changed' WHERE username = ?"
    )


@fact
async def what_others_deleted_is_revoked(server: Server) -> None:
    if server.engine == SIGNED_COOKIES:
        return  # Nobody can delete those.
    browser = await sign_in(server)
    async with browser.tab() as tab:
        await hear(tab)
        await get(server.browser(), "/delete-session/", key=key_of(browser))
        await tab.send('{"type": "extend"}')
        await expires(tab, "revoked")


async def can_be_extended(tab: ClientConnection) -> None:
    await tab.send('{"type": "extend", "id": "x"}')
    assert (await hear(tab))["id"] == "x"


async def goes_on(tab: ClientConnection) -> None:
    """Nothing is heard while the session is revalidated, and it can be extended."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(hear(tab), SETTINGS["REVALIDATE_INTERVAL"] * 2)
    await can_be_extended(tab)


@fact
async def ones_own_change_of_password_and_a_new_key_keep_the_session(server: Server) -> None:
    browser = await sign_in(server, "emil")
    async with browser.tab() as tab:
        await hear(tab)
        for path in ("/change-password/", "/cycle/"):
            key = key_of(browser)
            await get(browser, path)
            assert key_of(browser) != key
            await goes_on(tab)
        async with browser.tab() as another:
            assert (await hear(another))["type"] == "state"
    await is_alive(browser, "emil")


@restarts
@fact
async def a_rotation_of_the_secret_key_keeps_the_session(server: Server) -> None:
    browser = await sign_in(server)
    key, sid = key_of(browser), await sid_of(browser)
    async with browser.tab() as tab:
        await hear(tab)
        await asyncio.to_thread(server.stop)
        with pytest.raises(ConnectionClosed):
            await hear(tab)
    keys = {"TESTS_SECRET_KEY": "the next one", "TESTS_SECRET_KEY_FALLBACKS": "only-for-tests"}
    await asyncio.to_thread(partial(server.start, **keys))
    async with browser.tab() as tab:
        assert (await hear(tab))["type"] == "state", "before Django renewed anything"
        await can_be_extended(tab)
        await is_alive(browser)
        assert key_of(browser) != key, "now it did"
        assert await sid_of(browser) == sid
        await goes_on(tab)
        async with browser.tab() as another:
            assert (await hear(another))["type"] == "state"
        await get(browser, "/apply-policy/", idle=3, warn=2.5)
        copy = copy_of(browser)
        assert (await hear(tab))["type"] == "warning"
        await expires(tab, "idle")
    await stays_ended(copy, "idle")
