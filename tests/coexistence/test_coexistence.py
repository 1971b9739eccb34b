"""Beside django-allauth, django-axes, django-debug-toolbar and Django REST framework, on a real server."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.servers import ROOT, Browser, Server, hear

from .conftest import SETTINGS, sign_in

Serve = Callable[..., Server]
SHORT = {"IDLE_TIMEOUT": 2, "WARN_BEFORE": 1}
LONGER_THAN_IDLE = SHORT["IDLE_TIMEOUT"] + 0.2
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


def signed_in(server: Server) -> Browser:
    browser = server.browser()
    assert sign_in(browser).headers["Location"] == "/"
    return browser


def ended(server: Server) -> Browser:
    """The browser of somebody whose session has lapsed."""
    browser = signed_in(server)
    time.sleep(LONGER_THAN_IDLE)
    return browser


def last_activity_in(server: Server) -> float:
    [[last_activity_at]] = server.sql(
        "SELECT max(last_activity_at) FROM realtime_session_monitoredsession"
    )
    return float(last_activity_at)


def test_system_checks_are_clean(prepared: Path) -> None:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "PYTHONPATH": str(ROOT),
        "TESTS_SCRATCH": str(prepared),
    }
    command = [sys.executable, "-m", "django", "check", "--fail-level", "WARNING"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_a_session_of_allauth_begins_is_warned_ends_and_says_why(serve: Serve) -> None:
    server = serve(**SHORT)
    browser = signed_in(server)
    assert "realtime-session-config" in browser.http.get("/").text
    async with browser.tab() as tab:
        told = [await hear(tab) for _ in range(3)]
    assert [message["type"] for message in told] == ["state", "warning", "expired"]
    assert (told[-1]["reason"], told[-1]["redirect"]) == ("idle", "/accounts/login/")
    assert browser.http.get("/").headers["Location"] == "/accounts/login/?next=/"
    assert "no activity for a while" in browser.http.get("/accounts/login/?next=/").text
    assert sign_in(browser, next="/?page=2").headers["Location"] == "/?page=2"


async def test_a_logout_through_allauth_ends_the_session_in_every_tab(serve: Serve) -> None:
    server = serve()
    browser = signed_in(server)
    async with browser.tab() as one, browser.tab() as two:
        for tab in (one, two):
            assert (await hear(tab))["type"] == "state"
        answer = await asyncio.to_thread(browser.post, "/accounts/logout/")
        assert answer.status_code == 302
        for tab in (one, two):
            message = await hear(tab)
            assert (message["type"], message["reason"]) == ("expired", "logout")


def test_the_dialog_signs_out_through_allauth(serve: Serve) -> None:
    assert 'action="/accounts/logout/"' in signed_in(serve()).http.get("/").text


def test_axes_locks_out_as_ever(serve: Serve) -> None:
    server = serve(**SHORT)
    browser, stranger = ended(server), server.browser()
    for _ in range(3):
        sign_in(stranger, "ben", password="wrong")
    assert "Account locked" in sign_in(stranger, "ben").text
    form = {"login": "ben", "password": "ben", "csrfmiddlewaretoken": browser.token}
    answer = browser.http.post("/accounts/login/", data=form)
    assert (answer.status_code, "Account locked" in answer.text) == (403, True), "nor did we answer"
    assert sign_in(browser, "anna").status_code == 302


def test_rest_framework_says_why_and_then_what_it_always_says(serve: Serve) -> None:
    server = serve(**SHORT)
    for method in ("GET", "POST"):
        browser = ended(server)
        headers = {"Accept": "application/json", "X-CSRFToken": browser.token}
        answer = browser.http.request(method, "/api/who/", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["reason"] == "idle"
        assert answer.json()["detail"].startswith("Your session has ended")
        assert answer.json()["redirect"] == "/accounts/login/"
        answer = browser.http.request(method, "/api/who/", headers=headers)
        assert answer.status_code == 403
        assert answer.json() == {"detail": "Authentication credentials were not provided."}


def test_rest_frameworks_pages_lead_to_the_login(serve: Serve) -> None:
    browser = ended(serve(**SHORT))
    answer = browser.http.get("/api/who/", headers={"Accept": "text/html"})
    assert answer.headers["Location"] == "/accounts/login/?next=/api/who/"


def test_rest_framework_serves_live_sessions(serve: Serve) -> None:
    browser = signed_in(serve())
    assert browser.http.get("/api/who/").json() == {"user": "anna"}


def test_the_admin_leads_where_it_always_leads(serve: Serve) -> None:
    server = serve(**SHORT)
    for page in ("/admin/?o=1", "/admin/auth/user/?o=1"):
        browser, stranger = ended(server), server.browser()
        location = stranger.http.get(page).headers["Location"]
        assert browser.http.get(page).headers["Location"] == location
    assert "no activity for a while" in browser.http.get("/admin/login/").text


def test_the_toolbar_shows_its_panels_and_is_no_activity(serve: Serve) -> None:
    server = serve()
    browser = signed_in(server)
    request_id = the_toolbars_request_id(browser.http.get("/"))
    # Older than what was remembered of the last look.
    time.sleep(1.1)
    before = last_activity_in(server)
    panels = (
        f"/__debug__/history_refresh/?request_id={request_id}",
        f"/__debug__/history_sidebar/?request_id={request_id}",
        f"/__debug__/render_panel/?request_id={request_id}&panel_id=SQLPanel",
    )
    for panel in panels:
        assert browser.http.get(panel, headers=FETCH).status_code == 200
    assert last_activity_in(server) == before


def test_the_toolbar_is_answered_after_the_end(serve: Serve) -> None:
    browser = signed_in(serve(**SHORT))
    request_id = the_toolbars_request_id(browser.http.get("/"))
    time.sleep(LONGER_THAN_IDLE)
    panel = f"/__debug__/render_panel/?request_id={request_id}&panel_id=SQLPanel"
    assert "realtime_session" in browser.http.get(panel, headers=FETCH).json()["content"]


def the_toolbars_request_id(page: httpx.Response) -> str:
    found = re.search(r'data-request-id="(\w+)"', page.text)
    assert found, "the page has no toolbar"
    return found[1]
