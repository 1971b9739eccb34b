"""`make demo-cluster` from the sign-in to Ctrl-C; tests/browser looks at its pages."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from demo_site.cluster import ClusterError, find_program
from tests.demo import MANAGE, Cluster, cluster, environment, ps
from tests.servers import Browser, hear

SERVERS = {"daphne", "uvicorn"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("cluster")
    with cluster(directory) as running:
        yield running


@pytest.fixture
def visitor(running: Cluster) -> Iterator[Browser]:
    browser = Browser(running)
    with browser.http:
        yield browser.sign_in("demo")


async def open_tab(browser: Browser) -> tuple[ClientConnection, str, int]:
    """A tab, and which server and process say that they hold it."""
    tab = await browser.tab(ping_interval=None)
    assert (await hear(tab))["type"] == "state"
    process = await hear(tab)
    assert process["type"] == "process"
    return tab, process["server"], process["pid"]


async def test_signing_out_is_heard_at_both_servers(running: Cluster, visitor: Browser) -> None:
    tabs = [await open_tab(visitor) for _ in range(2)]
    children = running.children()
    assert {pid for _, _, pid in tabs} == {children[name] for name in SERVERS}
    await asyncio.to_thread(
        visitor.http.post, "/logout/", data={"csrfmiddlewaretoken": visitor.token}
    )
    for tab, _, _ in tabs:
        assert (await asyncio.wait_for(hear(tab), 1))["reason"] == "logout"
        await tab.close()


async def test_tab_of_a_killed_process_finds_the_other_one(
    running: Cluster, visitor: Browser
) -> None:
    tab, name, pid = await open_tab(visitor)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(tab.recv(), 5)
    again, other, _ = await open_tab(visitor)
    assert {name, other} == SERVERS
    await again.close()
    give_up_at = time.monotonic() + 30
    while running.children().get(name) in (None, pid):
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.1)
    assert f"{name}, process {pid}, ended: starting another." in running.log.read_text()


async def test_ctrl_c_ends_it_all(tmp_path: Path) -> None:
    with cluster(tmp_path) as running:
        children = running.children()
        assert set(children) == {"redis-server", "nginx", *SERVERS}
        browser = Browser(running)
        with browser.http:
            tab, _, _ = await open_tab(browser.sign_in("demo"))
        assert running.stop() == 0
    assert not {str(pid) for pid in children.values()} & {pid for [pid] in ps("pid")}
    said = running.log.read_text()
    assert said.endswith("Ending.\n")
    assert "Traceback" not in said
    await tab.close()


def run(directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """For a start that must fail."""
    return subprocess.run(
        [*MANAGE, "cluster"],
        env=environment(directory, **variables),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        answer = run(tmp_path, PORT=port)
    assert answer.returncode == 1
    assert f"port {port}: Address already in use" in answer.stderr


def test_missing_program_is_named() -> None:
    with pytest.raises(ClusterError, match=r"^sundial is not installed: install it"):
        find_program("sundial")
