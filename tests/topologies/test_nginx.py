"""nginx in front, as docs/topologies.md has it: silence, origins, and what it does without Upgrade."""

import asyncio
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.servers import Browser, hear

from . import page
from .topology import Entrance, Topology

TITLE = "nginx in front"
NGINX = page.block(TITLE, "nginx")
# A twentieth of the time that nginx waits, and of the servers' intervals or of what the page says of them.
PATIENCE = 3
PINGING = [
    "daphne -b 127.0.0.1 -p 8001 --ping-interval 1 mysite.asgi:application",
    "uvicorn --port 8002 --ws-ping-interval 1 mysite.asgi:application",
    "hypercorn -b 127.0.0.1:8003 --workers 0 --websocket-ping-interval 1 mysite.asgi:application",
]
SILENT = [
    "uvicorn --port 8004 --ws-ping-interval 20 mysite.asgi:application",
    "granian --interface asgi --port 8005 mysite.asgi:application",
]
Run = Callable[..., Topology]


@pytest.fixture
def run(prepared: Path, tmp_path: Path) -> Iterator[Run]:
    """Runs servers without Redis, and no nginx yet."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    topology = Topology("Several daphnes", tmp_path)

    def run(*commands: str, settings: str = "") -> Topology:
        topology.settings = settings
        topology.start({"IDLE_TIMEOUT": 600}, [line.split() for line in commands], None)
        return topology

    yield run
    topology.close()


def nginx(port: int, *changes: tuple[str, str]) -> str:
    """The page's nginx with one server behind it, by its port on the page, and changes to it."""
    upstream = f"upstream mysite {{ server 127.0.0.1:{port}; }}"
    http = re.sub("upstream mysite {.*?}", upstream, NGINX, flags=re.DOTALL)
    for old, new in changes:
        assert old in http
        http = http.replace(old, new)
    return http


async def answers(tab: ClientConnection) -> bool:
    """Whether a socket still lives."""
    try:
        await tab.send('{"type": "sync"}')
        return (await asyncio.wait_for(hear(tab), 5))["type"] == "state"
    except ConnectionClosed:
        return False


async def test_pings_keep_a_silent_tab_and_nothing_else_does(run: Run) -> None:
    topology = run(*PINGING, *SILENT, settings=page.block(TITLE, "python"))
    impatient = ("location /", f"proxy_read_timeout {PATIENCE}s;\n    location /")
    fronts = [topology.proxy(nginx(8001 + n, impatient)) for n in range(5)]
    first = topology.browser(fronts[0]).sign_in()
    browsers = [first, *(topology.browser(front, first) for front in fronts[1:])]
    tabs = [await browser.tab(ping_interval=None) for browser in browsers]
    busy = await browsers[-1].tab(ping_interval=None)
    for tab in (*tabs, busy):
        await hear(tab)
    for _ in range(2 * PATIENCE + 1):
        await asyncio.sleep(1)
        await busy.send('{"type": "activity"}')
    assert [await answers(tab) for tab in tabs] == [True, True, True, False, False]
    assert await answers(busy)
    for tab in (*tabs, busy):
        await tab.close()


def test_page_names_the_intervals_that_the_servers_have() -> None:
    from daphne.cli import CommandLineInterface
    from hypercorn.config import Config
    from uvicorn.config import Config as UvicornConfig

    rows = page.section(TITLE)
    daphne = CommandLineInterface().parser.get_default("ping_interval")
    assert f"| daphne | every {daphne} s |" in rows
    uvicorn = UvicornConfig("mysite.asgi:application").ws_ping_interval
    assert f"| uvicorn | every {uvicorn:g} s |" in rows
    assert Config().websocket_ping_interval is None


async def refusal(browser: Browser, **options: str) -> int | None:
    """The status with which a handshake is refused, if it is."""
    try:
        async with browser.tab(**options) as tab:
            assert (await hear(tab))["type"] == "state"
    except InvalidStatus as error:
        return error.response.status_code
    return None


@pytest.mark.parametrize("server", ["daphne -b 127.0.0.1 -p 8001", "uvicorn --port 8001"])
async def test_origin_is_that_of_the_browser_and_no_other(run: Run, server: str) -> None:
    settings = page.block(TITLE, "python")
    topology = run(f"{server} mysite.asgi:application", settings=settings)
    front = topology.proxy(nginx(8001))
    browser = topology.browser(front).sign_in()
    [inside] = topology.entrances
    assert await refusal(browser) is None
    assert browser.post("/session/extend/").status_code == 200
    for origin in (f"http://{front.host}", inside.url, "https://127.0.0.1", "https://evil.example"):
        assert await refusal(browser, origin=origin) == 403


async def test_scheme_is_not_known_without_the_setting(run: Run) -> None:
    topology = run("daphne -b 127.0.0.1 -p 8001 mysite.asgi:application")
    browser = signed_in_inside(topology, topology.proxy(nginx(8001)))
    assert await refusal(browser) == 403


PASSES_ANOTHER_HOST = (
    "proxy_set_header Host $http_host;",
    "proxy_set_header Host 127.0.0.1:8001; proxy_set_header X-Forwarded-Host $http_host;",
)


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ("", 403),
        ("USE_X_FORWARDED_HOST = True", None),
        ('CSRF_TRUSTED_ORIGINS = ["https://127.0.0.1:443"]', None),
        ('REALTIME_SESSION["ALLOWED_ORIGINS"] = ["https://127.0.0.1:443"]', None),
    ],
)
async def test_host_that_the_proxy_replaces_is_allowed_for(
    run: Run, settings: str, status: int | None
) -> None:
    settings = f"{page.block(TITLE, 'python')}\n{settings}"
    topology = run("daphne -b 127.0.0.1 -p 8001 mysite.asgi:application", settings=settings)
    front = topology.proxy(nginx(8001, PASSES_ANOTHER_HOST))
    assert await refusal(signed_in_inside(topology, front)) == status


def signed_in_inside(topology: Topology, front: Entrance) -> Browser:
    """A browser at the proxy whose login went past it: the login's own origin check is not at issue."""
    inside = topology.browser(topology.entrances[0]).sign_in()
    return topology.browser(front, inside)


async def test_handshake_without_upgrade_is_a_request_and_no_activity(run: Run) -> None:
    topology = run("daphne -b 127.0.0.1 -p 8001 mysite.asgi:application")
    lines = ("$http_upgrade;\n", '"";\n'), ("$connection_upgrade;", '"";')
    browser = signed_in_inside(topology, topology.proxy(nginx(8001, *lines)))
    before = browser.http.get("/session/state/").json()
    await asyncio.sleep(1.5)
    assert await refusal(browser) == 404
    after = browser.http.get("/session/state/").json()
    assert after["expires_in"] < before["expires_in"] - 1
