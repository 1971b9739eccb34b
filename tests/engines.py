"""Django's session engines and the tests' own, and what becomes of their sessions on a real server."""

import pytest
from websockets.exceptions import ConnectionClosed

from tests.servers import Browser, Server, hear

BACKENDS = "django.contrib.sessions.backends"
REVOCABLE = {
    "db": f"{BACKENDS}.db",
    "cache": f"{BACKENDS}.cache",
    "cached_db": f"{BACKENDS}.cached_db",
    "file": f"{BACKENDS}.file",
    "key_value": "tests.project.engines.key_value",
    "with_columns": "tests.project.engines.with_columns",
}
SIGNED_COOKIES = f"{BACKENDS}.signed_cookies"
ENGINES = REVOCABLE | {"signed_cookies": SIGNED_COOKIES}
each_engine = pytest.mark.parametrize("engine", list(ENGINES))


def copy_of(browser: Browser) -> Browser:
    """A browser to which the cookies were carried, and which keeps them whatever their age."""
    copy = browser.server.browser()
    for name, value in browser.http.cookies.items():
        copy.http.cookies.set(name, value, domain="127.0.0.1")
    return copy


def key_of(browser: Browser) -> str:
    return browser.http.cookies["sessionid"]


def exists(server: Server, key: str) -> bool:
    return bool(server.browser().http.get("/exists/", params={"key": key}).json()["exists"])


def who(browser: Browser) -> dict[str, str | None]:
    """Who the browser's cookie stands for, and why nobody if nobody."""
    return dict(browser.http.get("/whoami/").json())


async def refused(browser: Browser) -> tuple[str | None, int]:
    """The reason that a socket with the browser's cookies hears, and the close code."""
    reason = None
    async with browser.tab() as tab:
        try:
            while True:
                reason = (await hear(tab)).get("reason")
        except ConnectionClosed:
            return reason, int(tab.close_code or 0)
