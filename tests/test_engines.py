"""Every session engine on a real server: what has ended has ended, and what is active stays."""

import asyncio
import time
from collections.abc import Callable

from tests.engines import ENGINES, copy_of, each_engine, key_of
from tests.servers import Server, hear

Start = Callable[..., Server]


@each_engine
async def test_a_running_request_neither_revives_a_session_nor_fails(
    start: Start, engine: str
) -> None:
    server = start("uvicorn", {}, TESTS_SESSION_ENGINE=ENGINES[engine])
    browser = server.browser().sign_in()
    late, script = copy_of(browser), copy_of(browser)
    async with browser.tab() as tab:
        await hear(tab)
        page = asyncio.to_thread(late.http.get, "/slow-write/?seconds=1")
        fetch = asyncio.to_thread(
            script.http.get, "/slow-write/?seconds=1", headers={"Accept": "application/json"}
        )
        running = [asyncio.create_task(page), asyncio.create_task(fetch)]
        await asyncio.sleep(0.4)
        await tab.send('{"type": "logout"}')
        assert (await hear(tab))["reason"] == "logout"
        page_answer, fetch_answer = [await each for each in running]
    assert (page_answer.status_code, fetch_answer.status_code) == (302, 401)
    assert page_answer.headers["Location"] == "/login/?next=/slow-write/%3Fseconds%3D1"
    assert fetch_answer.json()["reason"] == "logout"
    for each in (late, script, copy_of(late)):
        assert each.http.get("/whoami/").json()["user"] == ""


@each_engine
async def test_no_write_of_a_view_is_lost_to_the_monitor(start: Start, engine: str) -> None:
    server = start("uvicorn", {}, TESTS_SESSION_ENGINE=ENGINES[engine])
    browser = server.browser().sign_in()
    async with browser.tab() as tab:
        await hear(tab)
        writing = asyncio.create_task(
            asyncio.to_thread(browser.http.get, "/slow-write/?seconds=0.8")
        )
        for _ in range(4):
            await asyncio.sleep(0.15)
            await tab.send('{"type": "activity"}')
            await tab.send('{"type": "extend"}')
        await writing
    assert browser.http.get("/write/").text == "2"


@each_engine
async def test_activity_outlasts_the_cookie_age_many_times(start: Start, engine: str) -> None:
    policy = {"IDLE_TIMEOUT": 4, "WARN_BEFORE": 1}
    server = start(
        policy=policy, TESTS_SESSION_ENGINE=ENGINES[engine], TESTS_SESSION_COOKIE_AGE="4"
    )
    browser = server.browser().sign_in()
    refreshes = 0
    async with browser.tab() as tab:
        assert (await hear(tab))["type"] == "state"
        ends_at = time.monotonic() + 10
        while time.monotonic() < ends_at:
            await tab.send('{"type": "activity"}')
            try:
                message = await asyncio.wait_for(hear(tab), 0.3)
            except TimeoutError:
                continue
            assert message["type"] == "refresh"
            refreshes += 1
            answer = await asyncio.to_thread(browser.post, message["url"])
            assert answer.status_code == 204
            assert "sessionid" in answer.cookies
    assert 3 <= refreshes <= 5, "about every half cookie age"
    assert browser.http.get("/whoami/").json() == {"user": "anna", "ended": None}


async def test_columns_of_an_engine_of_its_own_are_kept(start: Start) -> None:
    server = start(policy={}, TESTS_SESSION_ENGINE=ENGINES["with_columns"])
    browser = server.browser()
    browser.http.headers["User-Agent"] = "anna's phone"
    browser.sign_in()
    async with browser.tab() as tab:
        await hear(tab)
        await tab.send('{"type": "extend"}')
        await hear(tab)
    key = key_of(browser)
    assert server.sql(
        "SELECT user_agent FROM project_devicesession WHERE session_key = ?", key
    ) == [("anna's phone",)]


@each_engine
async def test_an_extend_of_a_deactivated_user_is_not_honoured(start: Start, engine: str) -> None:
    server = start(policy={}, TESTS_SESSION_ENGINE=ENGINES[engine])
    browser = server.browser().sign_in()
    async with browser.tab() as tab:
        await hear(tab)
        server.sql("UPDATE auth_user SET is_active = 0 WHERE username = ?", "anna")
        await tab.send('{"type": "extend"}')
        assert (await hear(tab))["reason"] == "revoked"
