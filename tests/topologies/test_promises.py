"""What docs/topologies.md promises, of each topology to the tabs of one session in several processes."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.servers import Browser, hear

from .conftest import POLICY
from .topology import Topology

LATE = 0.5
"""Seconds that anything may be late on a busy test machine; the protocol allows 1."""
ATTEMPTS = 100
IDLE, WARN = POLICY["IDLE_TIMEOUT"], POLICY["WARN_BEFORE"]
Tabs = list[ClientConnection]


@asynccontextmanager
async def tabs_in_processes(browsers: list[Browser]) -> AsyncIterator[Tabs]:
    """Tabs of the browsers' one session in two processes, or in all that have an entrance."""
    async with AsyncExitStack() as stack:
        found: dict[int, ClientConnection] = {}
        for attempt in range(ATTEMPTS):
            browser = browsers[attempt % len(browsers)]
            await request(browser)  # however slow the machine is, the session lives
            tab = await browser.tab("?process", ping_interval=None)
            process = (await hear(tab))["pid"]
            assert (await hear(tab))["type"] == "state"
            if process in found:
                await tab.close()
                continue
            found[process] = await stack.enter_async_context(tab)
            if len(found) == max(2, len(browsers)):
                tabs = list(found.values())
                await request(browser)
                await all_are_told_the_state(tabs)
                yield tabs
                return
        pytest.fail(f"{ATTEMPTS} sockets were served by the processes {list(found)} only")


async def all_are_told_the_state(tabs: Tabs) -> None:
    """Whatever else they were told until then."""
    for tab in tabs:
        await tab.send('{"type": "sync", "id": "now"}')
        while (message := await hear(tab)).get("id") != "now":
            pass
        assert message["phase"] == "active"


async def all_hear(tabs: Tabs, type: str) -> list[dict[str, Any]]:
    messages = [await asyncio.wait_for(hear(tab), IDLE + 5) for tab in tabs]
    assert [message["type"] for message in messages] == [type] * len(tabs)
    return messages


async def all_close(tabs: Tabs) -> None:
    for tab in tabs:
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(tab.recv(), 5)
        assert tab.close_code == 4001


def spread(messages: list[dict[str, Any]]) -> float:
    """Seconds between the first and the last of the same message."""
    instants = [message["at"] for message in messages]
    return max(instants) - min(instants)


def sign_in(topology: Topology, name: str) -> list[Browser]:
    """One signed-in browser, at all entrances."""
    here, *elsewhere = topology.entrances
    first = topology.browser(here).sign_in(name)
    return [first, *(topology.browser(entrance, first) for entrance in elsewhere)]


async def request(browser: Browser) -> float:
    """Do as a person who opens a page; return when it was answered."""
    answer = await asyncio.to_thread(browser.http.get, "/whoami/")
    assert answer.json()["ended"] is None
    return time.time()


async def test_promises_are_kept(topology: Topology) -> None:
    bound = LATE if topology.has_nudges else 1 + LATE
    anna, ben = sign_in(topology, "anna"), sign_in(topology, "ben")
    await asyncio.gather(
        deadlines_are_the_same_everywhere(anna, bound),
        requests_and_logouts_are_heard_everywhere(ben, bound),
    )
    # The processes may still have had something to say when they stopped.
    topology.close()
    assert sorted(end.reason for end in topology.ends()) == ["idle", "logout"]


async def deadlines_are_the_same_everywhere(browsers: list[Browser], bound: float) -> None:
    async with tabs_in_processes(browsers) as tabs:
        await asyncio.sleep(2 * LATE)
        asked_at = await request(browsers[0])
        for warning in await all_hear(tabs, "warning"):
            assert -LATE < warning["at"] - (asked_at + IDLE - WARN) < bound
        await tabs[1].send('{"type": "extend"}')
        assert spread(await all_hear(tabs, "extended")) < bound
        assert spread(await all_hear(tabs, "warning")) < LATE
        expired = await all_hear(tabs, "expired")
        assert {message["reason"] for message in expired} == {"idle"}
        assert spread(expired) < bound
        await all_close(tabs)
    for browser in browsers:
        answer = await asyncio.to_thread(browser.http.get, "/members/")
        assert answer.status_code == 302


async def requests_and_logouts_are_heard_everywhere(browsers: list[Browser], bound: float) -> None:
    async with tabs_in_processes(browsers) as tabs:
        await all_hear(tabs, "warning")
        await request(browsers[-1])
        assert spread(await all_hear(tabs, "extended")) < bound
        await asyncio.to_thread(browsers[0].post, "/logout/")
        asked_at = time.time()
        expired = await all_hear(tabs, "expired")
        assert {message["reason"] for message in expired} == {"logout"}
        assert time.time() - asked_at < bound
        await all_close(tabs)
