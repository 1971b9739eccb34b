"""Sessions that Django would not accept any more, and those that it would although much has changed."""

import asyncio
import time

import pytest

from tests.engines import SIGNED_COOKIES, copy_of, key_of
from tests.servers import Server, hear

from .facts import SETTINGS, expires, fact, get, is_alive, sign_in

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


@fact
async def ones_own_change_of_password_and_a_new_key_keep_the_session(server: Server) -> None:
    browser = await sign_in(server, "emil")
    async with browser.tab() as tab:
        await hear(tab)
        for path in ("/change-password/", "/cycle/"):
            key = key_of(browser)
            await get(browser, path)
            assert key_of(browser) != key
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(hear(tab), SETTINGS["REVALIDATE_INTERVAL"] * 2)
            await tab.send('{"type": "extend", "id": "x"}')
            assert (await hear(tab))["id"] == "x"
        async with browser.tab() as another:
            assert (await hear(another))["type"] == "state"
    await is_alive(browser, "emil")
