from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.system import find_chromium

from .server import Server, prepare
from .user import TIMEOUT, User

Serve = Callable[..., Server]
SignIn = Callable[..., Awaitable[User]]

SHORT = {"IDLE_TIMEOUT": 5, "WARN_BEFORE": 3.5}
LONG = {"IDLE_TIMEOUT": 60, "WARN_BEFORE": 20}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("prepared")
    prepare(directory)
    return directory


@pytest.fixture(scope="session")
def serve(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Starts a server with the given policy and environment; servers that are alike are shared."""
    servers: dict[str, Server] = {}
    with ExitStack() as stack:

        def start(policy: dict[str, object] = SHORT, **variables: str) -> Server:
            key = repr((policy, variables))
            if key not in servers:
                directory = tmp_path_factory.mktemp("site")
                servers[key] = Server(prepared, directory, policy, **variables)
                servers[key].start()
                stack.callback(servers[key].stop)
            return servers[key]

        yield start


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(),
            args=["--no-sandbox"],
            # Playwright turns the back/forward cache off; people have it on.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def sign_in(browser: Browser) -> AsyncIterator[SignIn]:
    """Signs somebody in, in a browser profile of their own."""
    async with AsyncExitStack() as stack:

        async def new_user(server: Server, name: str = "anna") -> User:
            context = await browser.new_context(base_url=server.url)
            stack.push_async_callback(context.close)
            context.set_default_timeout(TIMEOUT * 1000)
            user = User(context)
            await user.sign_in(name)
            return user

        yield new_user
