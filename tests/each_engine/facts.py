"""The facts, and how to look at one: like a test, it fails by an AssertionError or by taking too long."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection

from tests.engines import SIGNED_COOKIES, copy_of, exists, key_of, refused, who
from tests.servers import Browser, Server, hear

SETTINGS = {"POLICY": "tests.project.views.policy_asked_for", "REVALIDATE_INTERVAL": 1}
IN_BACKGROUND = {"Sec-Fetch-Mode": "cors"}
LATE = 3.0
"""Seconds by which a busy machine may be late."""
PATIENCE = 60

Fact = Callable[[Server], Awaitable[None]]
FACTS: dict[str, Fact] = {}
RESTARTS: list[str] = []


def fact(look_at: Fact) -> Fact:
    FACTS[look_at.__name__] = look_at
    return look_at


def restarts(look_at: Fact) -> Fact:
    """A fact that is looked at when all others were, as it restarts the server."""
    RESTARTS.append(look_at.__name__)
    return look_at


async def look_at_all(server: Server) -> dict[str, BaseException | None]:
    """What came of each fact; None where it holds."""
    together = [name for name in FACTS if name not in RESTARTS]
    outcomes = await asyncio.gather(*(look_at(server, name) for name in together))
    outcomes += [await look_at(server, name) for name in RESTARTS]
    return dict(zip(together + RESTARTS, outcomes, strict=True))


async def look_at(server: Server, name: str) -> BaseException | None:
    try:
        await asyncio.wait_for(FACTS[name](server), PATIENCE)
    except Exception as failure:
        return failure
    return None


async def sign_in(server: Server, name: str = "anna", **policy: float) -> Browser:
    return await asyncio.to_thread(server.browser().sign_in, name, **policy)


async def get(browser: Browser, path: str, **query: Any) -> httpx.Response:
    ask = partial(browser.http.get, params=query, headers=IN_BACKGROUND)
    answer = await asyncio.to_thread(ask, path)
    assert answer.status_code == 200
    return answer


async def sid_of(browser: Browser) -> str:
    return (await get(browser, "/sid/")).text


async def is_alive(browser: Browser, name: str = "anna") -> None:
    assert (await get(browser, "/whoami/")).json() == {"user": name, "ended": None}


async def expires(tab: ClientConnection, reason: str) -> float:
    """The server's clock, once it says so."""
    while (message := await hear(tab))["type"] != "expired":
        assert message["type"] in ("warning", "refresh"), message
    assert message["reason"] == reason
    return float(message["at"])


async def is_deleted(browser: Browser) -> None:
    """Its Django session is gone before anybody comes; a tab may hear of the end a moment sooner."""
    give_up_at = time.monotonic() + LATE
    while exists(browser.server, key_of(browser)):
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.05)


async def stays_ended(browser: Browser, reason: str) -> None:
    """Whoever has the cookie is anonymous and hears why, the second time too; its Django session is gone."""
    if browser.server.engine != SIGNED_COOKIES:
        await is_deleted(browser)
    for _ in range(2):
        assert await refused(browser) == (reason, 4401)
        copy = copy_of(browser)
        assert who(copy) == {"user": "", "ended": reason}
        assert "sessionid" not in copy.http.cookies
