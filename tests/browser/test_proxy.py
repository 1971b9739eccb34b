"""Behind an nginx that does not pass `Upgrade` on, a tab does without a socket, and its session ends on time."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.servers import free_port
from tests.topologies.nginx import Nginx

from .conftest import SHORT, Serve, SignIn

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


@pytest.fixture
def front(serve: Serve, tmp_path: Path) -> Iterator[SimpleNamespace]:
    port = free_port()
    address = f"127.0.0.1:{port}"
    http = NGINX.format(front=address, server=serve(SHORT).url)
    nginx = Nginx(tmp_path / "nginx", http, port)
    yield SimpleNamespace(url=f"http://{address}")
    nginx.close()


async def test_tab_asks_over_http_and_its_attempts_to_connect_are_no_activity(
    front: SimpleNamespace, sign_in: SignIn
) -> None:
    tab = await (await sign_in(front)).open()
    attempts: list[str] = []
    tab.page.on("websocket", lambda socket: attempts.append(socket.url))
    assert await tab.page.evaluate("client.transport") == "http"
    await tab.is_warned()
    await tab.stay.click()
    await tab.is_undisturbed()
    await tab.is_warned()
    await tab.is_told_at_login("idle")
    assert attempts
