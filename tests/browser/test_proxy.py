"""Behind an nginx that does not pass `Upgrade` on, tabs do without sockets, and sessions end on time."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.servers import free_port
from tests.topologies.nginx import Nginx

from .conftest import LONG, SHORT, Serve, SignIn
from .user import Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")

NGINX = """
server {{
    listen {front};
    location / {{
        proxy_pass {server};
        proxy_set_header Host $http_host;
    }}
}}
"""


Front = Callable[..., SimpleNamespace]


@pytest.fixture
def front(serve: Serve, tmp_path: Path) -> Iterator[Front]:
    """Puts such an nginx in front of a server with the given policy."""
    with ExitStack() as running:

        def start(policy: dict[str, object]) -> SimpleNamespace:
            port = free_port()
            address = f"127.0.0.1:{port}"
            http = NGINX.format(front=address, server=serve(policy).url)
            running.callback(Nginx(tmp_path / "nginx", http, port).close)
            return SimpleNamespace(url=f"http://{address}")

        yield start


async def test_tab_asks_over_http(front: Front, sign_in: SignIn) -> None:
    tab = await (await sign_in(front(SHORT))).open()
    assert await tab.page.evaluate("client.transport") == "http"
    await tab.is_warned()
    await tab.stay.click()
    await tab.is_undisturbed()
    await tab.is_warned()
    await tab.is_told_at_login("idle")


async def test_attempts_to_connect_are_no_activity(front: Front, sign_in: SignIn) -> None:
    tab = await (await sign_in(front(LONG))).open()
    attempts: list[float] = []
    tab.page.on("websocket", lambda socket: attempts.append(time.monotonic()))
    before, asked_at = await expires_at(tab), time.monotonic()
    while not attempts or attempts[-1] < asked_at + 1.5:
        await tab.page.wait_for_event("websocket")
    await tab.page.wait_for_timeout(500)
    assert await expires_at(tab) == pytest.approx(before, abs=0.5)


async def expires_at(tab: Tab) -> float:
    """When the session ends, if nobody does anything: epoch seconds of the server."""
    state = await (await tab.page.context.request.get("/session/state/")).json()
    return float(state["at"] + state["expires_in"])
