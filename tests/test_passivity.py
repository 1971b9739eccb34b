"""Which requests a person makes, and which a page by itself."""

import pytest
from django.test import RequestFactory

from realtime_session.passivity import is_deliberate, is_passive


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept": "*/*"},
        {"Accept": "text/html,application/xhtml+xml"},
        {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"},
    ],
)
def test_a_page_that_is_opened_is_deliberate(headers: dict[str, str]) -> None:
    assert is_deliberate(RequestFactory().get("/", headers=headers))


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Mode": "navigate", "Sec-Purpose": "prefetch"},
        {"X-Requested-With": "XMLHttpRequest"},
        {"HX-Request": "true", "Accept": "*/*"},
        {"Accept": "application/json"},
    ],
)
def test_what_a_page_or_a_browser_fetches_by_itself_is_not(headers: dict[str, str]) -> None:
    assert not is_deliberate(RequestFactory().get("/", headers=headers))


@pytest.mark.parametrize("name", ["Sec-WebSocket-Version", "sec-websocket-version"])
def test_a_handshake_that_arrives_as_a_request_is_no_activity(name: str) -> None:
    handshake = RequestFactory().get("/ws/session/", headers={name: "13"})
    assert is_passive(handshake)
    assert not is_passive(RequestFactory().get("/ws/session/"))
