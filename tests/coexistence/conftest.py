from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import copytree
from typing import Any

import httpx
import pytest

from tests.servers import Browser, Server, prepare

SETTINGS = "tests.coexistence.settings"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fresh database, the tables of all these apps included."""
    scratch = tmp_path_factory.mktemp("prepared")
    prepare(scratch, SETTINGS)
    return scratch


@pytest.fixture(scope="session")
def serve(
    prepared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Server]]:
    """Starts the project that has everything, under a policy; servers that are alike are shared."""
    servers: dict[str, Server] = {}
    with ExitStack() as stack:

        def serve(**policy: Any) -> Server:
            key = repr(policy)
            if key not in servers:
                scratch = tmp_path_factory.mktemp("site")
                copytree(prepared, scratch, dirs_exist_ok=True)
                server = Server("daphne", scratch, policy, DJANGO_SETTINGS_MODULE=SETTINGS)
                stack.callback(server.close)
                server.start()
                servers[key] = server
            return servers[key]

        yield serve


def sign_in(browser: Browser, name: str = "anna", **fields: str) -> httpx.Response:
    """Fill allauth's form in."""
    browser.http.get("/accounts/login/")
    form = {"login": name, "password": name, **fields, "csrfmiddlewaretoken": browser.token}
    return browser.http.post("/accounts/login/", data=form)
