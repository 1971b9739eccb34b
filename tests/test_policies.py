"""Policies on a real server: of the settings, of a project's own making, and what ``set_expiry`` adds."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.servers import Browser, Server, hear, hear_only

Start = Callable[..., Server]
LATE = 1.5
"""Seconds by which a busy machine may be late."""


def sign_in_with_expiry(server: Server, **expiry: Any) -> Browser:
    browser = server.browser()
    assert browser.http.get("/login-with-expiry/", params=expiry).status_code == 200
    return browser


def who(browser: Browser) -> dict[str, str | None]:
    return dict(browser.http.get("/whoami/").json())


async def is_ended_absolutely(tab: ClientConnection, ends_at: float) -> None:
    """It is warned of, cannot be extended, and comes when it was to come."""
    warning = await hear_only(tab, "warning")
    assert (warning["reason"], warning["can_extend"]) == ("absolute", False)
    await tab.send('{"type": "extend", "id": "x"}')
    extended = await hear_only(tab, "extended")
    assert extended["id"] == "x"
    assert not extended["can_extend"]
    assert extended["expires_in"] <= warning["expires_in"]
    assert (await hear_only(tab, "expired"))["reason"] == "absolute"
    assert -0.2 < time.monotonic() - ends_at < LATE


@pytest.mark.parametrize("as_what", ["datetime", "timedelta"])
async def test_an_end_that_is_set_at_the_login_is_kept(start: Start, as_what: str) -> None:
    server = start(policy={"IDLE_TIMEOUT": 600, "WARN_BEFORE": 3})
    ends_at = time.monotonic() + 6
    browser = sign_in_with_expiry(server, seconds=6, **{"as": as_what})
    async with browser.tab() as tab:
        state = await hear(tab)
        assert (state["reason"], state["can_extend"]) == ("absolute", False)
        assert 0 < state["absolute_expires_in"] == state["expires_in"] <= 6
        await is_ended_absolutely(tab, ends_at)
    assert who(browser)["user"] == "", "and the cookie has lapsed"


@pytest.mark.parametrize("as_what", ["datetime", "timedelta"])
async def test_an_end_that_is_set_in_a_running_session_is_kept(start: Start, as_what: str) -> None:
    server = start("uvicorn", {"IDLE_TIMEOUT": 600, "WARN_BEFORE": 3})
    browser = server.browser().sign_in()
    async with browser.tab() as tab:
        assert (await hear(tab))["absolute_expires_in"] is None
        ends_at = time.monotonic() + 6
        browser.http.get("/set-expiry/", params={"seconds": 6, "as": as_what})
        await is_ended_absolutely(tab, ends_at)


async def test_an_end_may_be_taken_back(start: Start) -> None:
    server = start(policy={"IDLE_TIMEOUT": 600, "WARN_BEFORE": 3})
    browser = sign_in_with_expiry(server, seconds=6, **{"as": "timedelta"})
    async with browser.tab() as tab:
        await hear(tab)
        assert (await hear(tab))["type"] == "warning"
        browser.http.get("/set-expiry/")
        extended = await hear_only(tab, "extended")
        assert extended["can_extend"]
        assert extended["expires_in"] > 590
    assert who(browser)["user"] == "anna"


@pytest.mark.parametrize("at_login", [True, False])
async def test_fewer_seconds_than_the_policys_are_the_idle_timeout(
    start: Start, at_login: bool
) -> None:
    server = start(policy={"IDLE_TIMEOUT": 600, "WARN_BEFORE": 1})
    if at_login:
        browser = sign_in_with_expiry(server, seconds=4)
    else:
        browser = server.browser().sign_in()
        browser.http.get("/set-expiry/", params={"seconds": 4})
    async with browser.tab() as tab:
        state = await hear(tab)
        assert (state["idle_timeout"], state["reason"]) == (4, "idle")
        await asyncio.sleep(2.2)
        await tab.send('{"type": "activity"}')
        active_at = time.monotonic()
        # What Django saved lasts for those seconds, too: it is renewed in time.
        refresh = await hear(tab)
        assert refresh["type"] == "refresh"
        assert (await asyncio.to_thread(browser.post, refresh["url"])).status_code == 204
        assert (await hear(tab))["type"] == "warning"
        assert (await hear(tab))["reason"] == "idle"
        assert -0.2 < time.monotonic() - active_at - 4 < LATE
    assert who(browser)["user"] == "", "and the cookie has lapsed"


async def test_more_seconds_than_the_policys_do_not_lengthen_it(start: Start) -> None:
    server = start(policy={"IDLE_TIMEOUT": 3, "WARN_BEFORE": 1})
    browser = sign_in_with_expiry(server, seconds=3600)
    async with browser.tab() as tab:
        assert (await hear(tab))["idle_timeout"] == 3
        assert [(await hear(tab))["type"] for _ in range(2)] == ["warning", "expired"]
    assert who(browser)["ended"] == "idle"


async def test_the_browsers_end_is_the_cookies_alone(start: Start) -> None:
    server = start(policy={"IDLE_TIMEOUT": 3, "WARN_BEFORE": 1})
    browser = server.browser().sign_in()
    answer = browser.http.get("/set-expiry/", params={"seconds": 0})
    assert "Max-Age" not in answer.headers["Set-Cookie"]
    async with browser.tab() as tab:
        state = await hear(tab)
        assert (state["idle_timeout"], state["absolute_expires_in"]) == (3, None)
        await hear_only(tab, "warning")
    assert who(browser)["user"] == "anna"


async def test_nothing_moves_the_absolute_end_but_a_full_login(start: Start) -> None:
    policy = {
        "IDLE_TIMEOUT": 3,
        "WARN_BEFORE": 1,
        "ABSOLUTE_TIMEOUT": 6,
        "ACTIVITY_EXTENDS_IN_WARNING": True,
    }
    server = start(policy=policy)
    browser = server.browser().sign_in()
    async with browser.tab() as tab:
        await hear(tab)
        await asyncio.sleep(2.5)
        # Between request and answer: the store's clock is not here.
        earliest = time.monotonic() + 6
        browser.sign_in()
        latest = time.monotonic() + 6
        heard = []
        while not heard or heard[-1]["type"] != "expired":
            await tab.send('{"type": "activity"}')
            await tab.send('{"type": "extend"}')
            await asyncio.to_thread(browser.http.get, "/write/")
            await asyncio.to_thread(browser.post, "/session/extend/")
            with suppress(TimeoutError, ConnectionClosed):
                while True:
                    heard.append(await asyncio.wait_for(hear(tab), 0.4))
        ended_at = time.monotonic()
    assert heard[-1]["reason"] == "absolute"
    assert earliest - 0.2 < ended_at < latest + LATE
    warnings = [message for message in heard if message["type"] == "warning"]
    assert [(w["reason"], w["can_extend"]) for w in warnings][-1] == ("absolute", False)
    assert who(browser)["user"] == ""


async def test_a_policy_of_ones_own_is_the_same_for_all_who_look(start: Start) -> None:
    server = start(policy={"POLICY": "tests.project.views.policy_of"})
    without_tab = server.browser().sign_in("anna")
    anna, ben = server.browser().sign_in("anna"), server.browser().sign_in("ben")
    async with anna.tab() as tab, ben.tab() as other:
        state, its_state = await hear(tab), await hear(other)
        assert (state["idle_timeout"], state["absolute_expires_in"]) == (3, None)
        assert (its_state["idle_timeout"], its_state["warn_before"]) == (900, 120)
        assert 0 <= 12 * 3600 - its_state["absolute_expires_in"] < 60
        assert [(await hear(tab))["type"] for _ in range(2)] == ["warning", "expired"]
    assert who(anna) == who(without_tab) == {"user": "", "ended": "idle"}
    assert who(ben) == {"user": "ben", "ended": None}


async def test_another_policy_is_heard_in_open_tabs(start: Start) -> None:
    server = start(policy={})
    browser = server.browser().sign_in()
    async with browser.tab() as one, browser.tab() as two:
        for tab in (one, two):
            assert (await hear(tab))["idle_timeout"] == 900
        answer = browser.http.get("/apply-policy/?idle=30&warn=29.9")
        assert answer.text == "True"
        for tab in (one, two):
            warning = await hear(tab)
            assert warning["type"] == "warning"
            assert warning["can_extend"]
            assert 25 < warning["expires_in"] <= 30
        browser.http.get("/apply-policy/?idle=600&warn=60")
        for tab in (one, two):
            extended = await hear(tab)
            assert extended["type"] == "extended"
            assert extended["expires_in"] > 590
        browser.http.get("/apply-policy/?idle=0.2&warn=0.1")
        for tab in (one, two):
            while (message := await hear(tab))["type"] != "expired":
                assert message["type"] == "warning"
            assert message["reason"] == "idle"
    assert who(browser)["ended"] == "idle"
