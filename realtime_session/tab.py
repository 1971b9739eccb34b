"""One tab, as the hub sees it: what is to be sent to it, in order, however slowly it reads."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from . import metrics, protocol
from .logs import get_logger, short
from .protocol import CloseCode, ServerMessage

logger = get_logger(__name__)

MAX_WAITING = 32
CLOSE_TIMEOUT = 5.0
NORMAL_CLOSURE = 1000
REGISTERED_CODES = range(1001, 3000)
"""Close codes that are registered with those of RFC 6455."""

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Tab:
    """Sends what is pushed, one frame at a time; holds no task while there is nothing to send.

    Belongs to the task that makes it, the socket's application. A tab that leaves ``MAX_WAITING`` messages
    unread is closed, to come back and hear the truth then.
    """

    __slots__ = (
        "_owner",
        "_send",
        "_waiting",
        "_writer",
        "awaits_extended",
        "closed",
        "code",
        "language",
        "script_name",
        "sid",
    )

    def __init__(self, send: Send) -> None:
        self.sid = ""
        self.language = ""
        self.script_name = ""
        self.closed = False
        self.code: CloseCode | None = None
        """With what it was closed; None while it was not, or if it went by itself."""
        self.awaits_extended = False
        """Whether it is about to get an ``extended`` of its own, with the id of its question."""
        self._send = send
        self._owner = asyncio.current_task()
        # No deque: even an empty one takes as much as the rest of a tab.
        self._waiting: list[dict[str, Any]] = []
        self._writer: asyncio.Task[None] | None = None

    def push(self, message: ServerMessage) -> None:
        """Send a message soon; none after ``close``."""
        if self.closed:
            return
        if len(self._waiting) < MAX_WAITING:
            self._put({"type": "websocket.send", "text": protocol.encode(message)})
            metrics.pushes[type(message)].inc()
        else:
            logger.info(
                "A tab of %s… reads too slowly and is closed.",
                short(self.sid),
                extra={"event": "slow_tab", "sid": short(self.sid)},
            )
            self._cancel()
            self.close(CloseCode.TRY_AGAIN_LATER)

    def close(self, code: CloseCode) -> None:
        """Close the socket once what was pushed before is sent; the application ends with it.

        The owner is interrupted, as it waits for the next frame: granian does not close a socket while its
        application waits to receive.
        """
        if self.closed:
            return
        self.closed = True
        self.code = code
        self._put({"type": "websocket.close", "code": int(code)})
        if self._owner is not None and self._owner is not asyncio.current_task():
            self._owner.cancel()

    async def flushed(self) -> None:
        """Wait until everything pushed so far is sent."""
        if self._writer is not None:
            await asyncio.wait({self._writer})

    async def drop(self) -> None:
        """Finish what ``close`` began, for a few seconds; send nothing if the peer is gone by itself."""
        if self._writer is not None:
            await asyncio.wait({self._writer}, timeout=CLOSE_TIMEOUT if self.closed else 0)
        self.closed = True
        if (writer := self._writer) is not None:
            self._cancel()
            await asyncio.wait({writer})

    def _put(self, event: dict[str, Any]) -> None:
        self._waiting.append(event)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name="realtime-session-send")

    def _cancel(self) -> None:
        self._waiting.clear()
        if self._writer is not None:
            self._writer.cancel()
            self._writer = None

    async def _write(self) -> None:
        try:
            while self._waiting:
                await self._send_one(self._waiting.pop(0))
        except Exception as error:
            # Servers differ in what they raise when the peer is gone.
            logger.debug(
                "A tab of %s… could not be told: %s",
                short(self.sid),
                type(error).__name__,
                extra={"event": "lost_tab", "sid": short(self.sid), "error": type(error).__name__},
            )
            self.closed = True
            self._waiting.clear()
        finally:
            if self._writer is asyncio.current_task():
                self._writer = None

    async def _send_one(self, event: dict[str, Any]) -> None:
        try:
            await self._send(event)
        except Exception:
            if event.get("code", NORMAL_CLOSURE) not in REGISTERED_CODES:
                raise
            # daphne refuses to send these, and would leave the socket open.
            await self._send({**event, "code": NORMAL_CLOSURE})
