"""A browser tab's end of the socket, reduced to what costs the measuring process little.

Frames are masked with zeros, and handshakes are not verified: the servers are tested elsewhere.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

CONNECT_TIMEOUT = 20.0
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
GOING_AWAY, NO_CODE, LOST = 1001, 1005, 1006

# What Chromium sends, since servers keep the headers for as long as the socket is open.
HANDSHAKE = """\
GET /ws/session/ HTTP/1.1\r
Host: 127.0.0.1:{port}\r
Connection: Upgrade\r
Pragma: no-cache\r
Cache-Control: no-cache\r
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
Chrome/126.0.0.0 Safari/537.36\r
Upgrade: websocket\r
Origin: http://127.0.0.1:{port}\r
Sec-WebSocket-Version: 13\r
Accept-Encoding: gzip, deflate, br, zstd\r
Accept-Language: en-GB,en;q=0.9,de;q=0.8\r
Cookie: sessionid={session_key}\r
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
\r
"""


class Received(NamedTuple):
    """One message, and when it arrived in epoch seconds."""

    at: float
    message: dict[str, Any]


class Tab(asyncio.Protocol):
    """One open socket."""

    def __init__(self, handshake: bytes) -> None:
        self._handshake = handshake
        self._is_open = False
        self._unread = b""
        self._received: deque[Received] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._lost = False
        self.close_code = LOST

    @classmethod
    async def open(cls, port: int, session_key: str) -> Self:
        """Connect and shake hands."""
        handshake = HANDSHAKE.format(port=port, session_key=session_key).encode()
        loop = asyncio.get_running_loop()
        _, tab = await loop.create_connection(lambda: cls(handshake), "127.0.0.1", port)
        return tab

    async def next(self, wanted: str) -> Received:
        """Wait for the next message of the type ``wanted``, passing over others."""
        while True:
            received = await self.hear()
            if received.message["type"] == wanted:
                return received

    @property
    def is_lost(self) -> bool:
        """Whether the connection is no more."""
        return self._lost

    async def hear(self) -> Received:
        """Wait for the next message. Raises ConnectionError once there will be none: see ``close_code``."""
        while not self._received:
            if self._lost:
                raise ConnectionError(f"the socket was closed: {self.close_code}")
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._received.popleft()

    def send(self, message: bytes) -> None:
        """Send a text frame of at most 125 bytes."""
        self._transport.write(_frame(TEXT, message))

    def send_binary(self, message: bytes) -> None:
        """Send a binary frame of at most 125 bytes, which the protocol has not."""
        self._transport.write(_frame(BINARY, message))

    def send_close(self) -> None:
        """Ask for the close, as a browser does that leaves the page."""
        self._transport.write(_frame(CLOSE, GOING_AWAY.to_bytes(2)))

    def answer_ping(self, payload: bytes) -> None:
        """Say that this side lives."""
        self._transport.write(_frame(PONG, payload))

    def stop_reading(self) -> None:
        """Take nothing more from the network."""
        self._transport.pause_reading()

    def close(self) -> None:
        """Go away as a browser does whose network is lost."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._handshake)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._wake()

    def data_received(self, data: bytes) -> None:
        at = time.time()
        self._unread += data
        if not self._is_open:
            head, end, rest = self._unread.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head:
                self._transport.abort()
                return
            self._is_open, self._unread = True, rest
        for opcode, payload in self._frames():
            if opcode == TEXT:
                self._received.append(Received(at, json.loads(payload)))
                self._wake()
            elif opcode == PING:
                self.answer_ping(payload)
            elif opcode == CLOSE:
                self.close_code = int.from_bytes(payload[:2]) or NO_CODE
                self._transport.close()

    def _frames(self) -> Iterable[tuple[int, bytes]]:
        while len(self._unread) >= 2:
            start, length = 2, self._unread[1]
            if length == 126:
                start, length = 4, int.from_bytes(self._unread[2:4])
            if len(self._unread) < start + length:
                return
            opcode, payload = self._unread[0] & 0xF, self._unread[start : start + length]
            self._unread = self._unread[start + length :]
            yield opcode, payload

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _frame(opcode: int, payload: bytes) -> bytes:
    return bytes((0x80 | opcode, 0x80 | len(payload))) + bytes(4) + payload
