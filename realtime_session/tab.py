"""One tab, as the hub sees it: what is to be sent to it, in order, however slowly it reads."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from . import protocol
from .protocol import CloseCode, ServerMessage

logger = logging.getLogger(__name__)

MAX_WAITING = 32
CLOSE_TIMEOUT = 5.0

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Tab:
    """Sends what is pushed, one frame at a time; holds no task while there is nothing to send.

    A tab that leaves ``MAX_WAITING`` messages unread is closed, to come back and hear the truth then.
    """

    __slots__ = ("_send", "_task", "_waiting", "closed", "language", "sid")

    def __init__(self, send: Send, language: str = "") -> None:
        self.sid = ""
        self.language = language
        self.closed = False
        self._send = send
        self._waiting: deque[dict[str, Any]] = deque()
        self._task: asyncio.Task[None] | None = None

    def push(self, message: ServerMessage) -> None:
        """Send a message soon; none after ``close``."""
        self._put({"type": "websocket.send", "text": protocol.encode(message)})

    def close(self, code: CloseCode) -> None:
        """Close the socket once what was pushed before is sent."""
        self._put({"type": "websocket.close", "code": int(code)})
        self.closed = True

    async def flushed(self) -> None:
        """Wait until everything pushed so far is sent."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def drop(self) -> None:
        """Send nothing more: the socket is gone."""
        self._cancel()
        await self.flushed()

    def _cancel(self) -> None:
        self.closed = True
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    def _put(self, event: dict[str, Any]) -> None:
        if self.closed:
            return
        if len(self._waiting) >= MAX_WAITING:
            self._give_up()
            return
        self._waiting.append(event)
        if self._task is None:
            self._start(self._write())

    def _start(self, writer: Any) -> None:
        self._task = asyncio.create_task(writer, name="realtime-session-send")

    def _give_up(self) -> None:
        logger.info("A tab of %s… reads too slowly and is closed.", self.sid[:8])
        self._cancel()
        self._waiting.append({"type": "websocket.close", "code": int(CloseCode.TRY_AGAIN_LATER)})
        self._start(self._write_last())

    async def _write(self) -> None:
        try:
            while self._waiting:
                await self._send(self._waiting.popleft())
        except Exception as error:
            # Servers differ in what they raise when the peer is gone.
            logger.debug("A tab of %s… could not be told: %r", self.sid[:8], error)
            self.closed = True
            self._waiting.clear()
        finally:
            if self._task is asyncio.current_task():
                self._task = None

    async def _write_last(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._write()
