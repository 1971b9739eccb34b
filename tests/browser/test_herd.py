"""All tabs of a server lose it in one moment: when they come back."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.async_api import Browser
from websockets.asyncio.server import ServerConnection, serve

from realtime_session import presenter, protocol
from realtime_session.policy import Policy, Record
from tests.test_packaging import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="session")

TABS = 60
FEW_TABS = 10
"""So few that Chromium, which slows down who opens many sockets, does not delay them by itself."""
SPREAD = 5.0
START = """async ([url, tabs]) => {
  const { SessionClient } = await import("/client.js");
  window.clients = Array.from({ length: tabs }, () => new SessionClient({ socket: url }));
  for (const client of clients) client.start();
}"""


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def static_files() -> Iterator[str]:
    handler = partial(Files, directory=str(ROOT / "realtime_session/static/realtime_session"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, name="static files").start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class Stopped:
    """A server that tells the state, closes its sockets with a code once all are there, and serves on."""

    def __init__(self, tabs: int, warns_in: float) -> None:
        policy = Policy(idle_timeout=warns_in + 30, warn_before=30)
        now = time.time()
        record = Record("sid", "1", started_at=now, last_activity_at=now, policy=policy)
        self._state = protocol.encode(presenter.state(record, now))
        self._tabs = tabs
        self._all_are_here = asyncio.Event()
        self._open: list[ServerConnection] = []
        self._arrivals: list[float] = []

    async def answer(self, tab: ServerConnection) -> None:
        await tab.send(self._state)
        self._arrivals.append(time.monotonic())
        self._open.append(tab)
        if len(self._open) == self._tabs:
            self._all_are_here.set()
        await tab.wait_closed()

    async def all_are_here(self) -> list[float]:
        async with asyncio.timeout(30):
            await self._all_are_here.wait()
        return self._arrivals

    async def delays(self, code: int) -> list[float]:
        """How many seconds after a close with this code each tab was back."""
        await self.all_are_here()
        closing, self._open, self._arrivals = self._open, [], []
        self._all_are_here.clear()
        closed_at = time.monotonic()
        if code == 1006:
            for tab in closing:
                tab.transport.abort()
        else:
            await asyncio.gather(*(tab.close(code) for tab in closing))
        return sorted(at - closed_at for at in await self.all_are_here())


@asynccontextmanager
async def opened(browser: Browser, tabs: int, warns_in: float = 600) -> AsyncIterator[Stopped]:
    stopped = Stopped(tabs, warns_in)
    with static_files() as files:
        async with serve(
            stopped.answer, "127.0.0.1", 0, subprotocols=[protocol.SUBPROTOCOL]
        ) as server:
            page: Any = await browser.new_page()
            await page.goto(files)
            port = server.sockets[0].getsockname()[1]
            await page.evaluate(START, [f"ws://127.0.0.1:{port}/", tabs])
            yield stopped
            await page.close()


@pytest.mark.parametrize("code", [1000, 1001, 1012])
async def test_tabs_of_a_server_that_was_stopped_come_back_one_by_one(
    browser: Browser, code: int
) -> None:
    async with opened(browser, TABS) as stopped:
        delays = await stopped.delays(code)
    assert SPREAD * 0.8 < delays[-1] < SPREAD + 1
    # Even: of 60 tabs, 12 are expected in each second; 27 in one are less likely than one in 10,000.
    for second in range(int(SPREAD)):
        assert sum(second <= delay < second + 1 for delay in delays) < 27, delays


async def test_tabs_that_lost_their_network_come_back_soon(browser: Browser) -> None:
    async with opened(browser, FEW_TABS) as stopped:
        delays = await stopped.delays(1006)
    assert delays[-1] < 1.5, delays


async def test_tabs_whose_warning_is_near_come_back_before_it(browser: Browser) -> None:
    async with opened(browser, FEW_TABS, warns_in=8) as stopped:
        delays = await stopped.delays(1012)
    assert delays[-1] < 4.5, delays
