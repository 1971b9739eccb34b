"""The way to the server: lost, refused, silent, or not there at all."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.async_api import expect

from .conftest import LONG, SHORT, Serve, SignIn

pytestmark = pytest.mark.asyncio(loop_scope="session")

STATE = "/session/state/"
EXTEND = "/session/extend/"


async def test_a_tab_reconnects_to_a_restarted_server(serve: Serve, sign_in: SignIn) -> None:
    server = serve(LONG, SITE_NAME="killed")
    tab = await (await sign_in(server)).open()
    await tab.page.get_by_label("Work").fill("half a sentence")
    server.kill()
    await tab.until("!client.connected")
    server.start()
    await tab.until("client.connected")
    await tab.is_undisturbed()
    await expect(tab.page.get_by_label("Work")).to_have_value("half a sentence")
    assert (await tab.page.evaluate("client.extend()"))["type"] == "extended"


async def test_a_tab_that_was_cut_off_learns_how_the_session_ended(
    serve: Serve, sign_in: SignIn
) -> None:
    server = serve(SHORT, SITE_NAME="killed")
    tab = await (await sign_in(server)).open()
    server.kill()
    await asyncio.sleep(SHORT["IDLE_TIMEOUT"] + 0.5)
    assert await tab.view() == "checking"
    server.start()
    await tab.page.evaluate("dispatchEvent(new Event('online'))")
    await tab.is_told_at_login("idle")


async def test_a_socket_that_does_not_answer_is_replaced(serve: Serve, sign_in: SignIn) -> None:
    server = serve(LONG)
    tab = await (await sign_in(server)).open()
    server.silence()
    await tab.page.evaluate("client.sync()")
    await tab.until("!client.connected")
    server.unsilence()
    await tab.until("client.connected")


async def test_an_end_that_nobody_explains_is_told_as_the_server_would(
    serve: Serve, sign_in: SignIn
) -> None:
    user = await sign_in(serve(LONG))
    page = await user.context.new_page()
    await page.route_web_socket("**/ws/session/", lambda socket: socket.close(code=4401))
    await page.route(f"**{STATE}", lambda route: route.abort())
    await page.goto("/page/")
    await page.evaluate("clientOfDialog()")
    await page.evaluate("until(() => client.phase === 'ended')")
    expired = await page.evaluate("client.extend()")
    assert abs(expired.pop("at") - time.time()) < 60
    assert expired == {"type": "expired", "reason": "unknown", "message": "", "redirect": None}


async def test_a_choice_that_cannot_be_stored_can_be_made_again(
    serve: Serve, sign_in: SignIn
) -> None:
    policy = {"IDLE_TIMEOUT": 31, "WARN_BEFORE": 30}
    server = serve(policy, SITE_DATABASE_TIMEOUT="0.5")
    tab = await (await sign_in(server)).open()
    await tab.is_warned()
    with server.locked_database():
        await tab.stay.click()
        await expect(tab.page.get_by_role("alert")).to_contain_text("That did not work.")
    await tab.stay.click()
    await tab.is_undisturbed()
    assert (await tab.events("error"))[0]["code"] == "unavailable"


async def test_a_tab_too_many_waits_and_asks_over_http(serve: Serve, sign_in: SignIn) -> None:
    user = await sign_in(serve({**SHORT, "MAX_TABS": 1}))
    first, second = await user.open(), await user.open()
    links = [(await tab.page.evaluate("client.transport")) for tab in (first, second)]
    assert links == ["websocket", "http"]
    sockets: list[str] = []
    second.page.on("websocket", lambda socket: sockets.append(socket.url))
    await asyncio.gather(first.is_warned(), second.is_warned())
    assert sockets == []


@pytest.mark.parametrize("address", [None, "/nowhere/"])
async def test_without_a_socket_a_tab_asks_when_a_deadline_comes_up(
    serve: Serve, sign_in: SignIn, address: str | None
) -> None:
    tab = await (await sign_in(serve({**SHORT, "WEBSOCKET_URL": address}))).open()
    assert await tab.page.evaluate("client.transport") == "http"
    await tab.is_warned()
    assert tab.count(STATE) == 2

    await tab.stay.click()
    await tab.is_undisturbed()
    assert tab.count(EXTEND) == 1

    await tab.is_warned()
    await tab.is_told_at_login("idle")
    assert tab.count(STATE) == 4


async def test_without_a_socket_a_tab_asks_on_return_to_it(serve: Serve, sign_in: SignIn) -> None:
    user = await sign_in(serve({**SHORT, "WEBSOCKET_URL": None}))
    tab, other = await user.open(), await user.open()
    await tab.is_warned()
    await other.page.evaluate("client.extend()")
    await tab.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await tab.is_undisturbed()


class ForeignPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Foreign</title>")

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def foreign_site() -> Iterator[str]:
    """On the same host, so the browser sends the cookie along; another port is another origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), ForeignPage) as server:
        threading.Thread(target=server.serve_forever, name="foreign site").start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


OPEN_SOCKET = """url => new Promise((resolve) => {
  const socket = new WebSocket(url, "realtime-session.v1");
  socket.onmessage = ({ data }) => resolve(data);
  socket.onclose = ({ code }) => resolve(code);
})"""


async def test_a_page_of_another_origin_cannot_open_the_socket(
    serve: Serve, sign_in: SignIn
) -> None:
    server = serve()
    user = await sign_in(server)
    url = server.url.replace("http", "ws") + "/ws/session/"
    page = await user.context.new_page()
    await page.goto("/public/")
    assert '"state"' in await page.evaluate(OPEN_SOCKET, url)
    with foreign_site() as foreign:
        await page.goto(foreign)
        assert await page.evaluate(OPEN_SOCKET, url) == 1006
