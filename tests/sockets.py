"""A tab's socket without a server or a browser: what ASGI would carry, said and heard directly."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import Client

from realtime_session.protocol import SUBPROTOCOL
from tests.project.asgi import application

PATH = "/ws/session/"
PATIENCE = 5


class Socket(WebsocketCommunicator):
    """Speaks in messages where Channels' communicator speaks in frames."""

    state: dict[str, Any]

    async def say(self, type: str, **fields: Any) -> None:
        await self.send_json_to({"type": type, **fields})

    async def hear(self, type: str | None = None) -> dict[str, Any]:
        """The next message; it is of ``type``, if one is given."""
        message = await self.receive_json_from(PATIENCE)
        assert type in (None, message["type"]), message
        return message

    async def hear_close(self) -> int:
        """The close code, which is next."""
        event = await self.receive_output(PATIENCE)
        assert event["type"] == "websocket.close", event
        return event["code"]

    async def leave(self, code: int = 1001) -> None:
        """The tab goes away, whether or not the server closed first."""
        if not self.future.done():
            await self.disconnect(code, timeout=PATIENCE)


def make_socket(
    client: Client | None = None,
    *,
    scheme: str = "ws",
    subprotocols: tuple[str, ...] = (SUBPROTOCOL,),
    **headers: str | None,
) -> Socket:
    """A socket with the client's cookies, not yet opened; a header given as None is left out."""
    cookies = {name: morsel.value for name, morsel in client.cookies.items()} if client else {}
    given: dict[str, str | None] = {
        "host": "testserver",
        "origin": "http://testserver",
        "cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()) or None,
        **headers,
    }
    lines = [
        (name.replace("_", "-").encode(), value.encode("latin1"))
        for name, value in given.items()
        if value is not None
    ]
    socket = Socket(application, PATH, lines, list(subprotocols))
    socket.scope["scheme"] = scheme
    return socket


@asynccontextmanager
async def connect(client: Client | None = None, **options: Any) -> AsyncIterator[Socket]:
    """An accepted socket, which leaves with the block. Takes what ``make_socket`` takes."""
    socket = make_socket(client, **options)
    try:
        accepted, _ = await socket.connect(timeout=PATIENCE)
        assert accepted
        yield socket
    finally:
        await socket.leave()


@asynccontextmanager
async def tab(client: Client, **options: Any) -> AsyncIterator[Socket]:
    """A socket that was told the state: ``socket.state``."""
    async with connect(client, **options) as socket:
        socket.state = await socket.hear("state")
        yield socket


def session_cookie(client: Client) -> str:
    return client.cookies[settings.SESSION_COOKIE_NAME].value
