"""One tab, as the hub sees it: what is to be sent to it, in order, however slowly it reads."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from . import metrics, protocol
from .logs import get_logger, short
from .protocol import CloseCode, ServerMessage
from .writer import Writer

logger = get_logger(__name__)

MAX_WAITING = 32
CLOSE_TIMEOUT = 5.0
NORMAL_CLOSURE = 1000
REGISTERED_CODES = range(1001, 3000)
"""Close codes that are registered with those of RFC 6455."""

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Tab:
    """Sends what is pushed, one frame at a time, whenever the writer gives it a turn.

    Belongs to the task that makes it, the socket's application. A tab that leaves ``MAX_WAITING`` messages
    unread is closed, to come back and hear the truth then.
    """

    __slots__ = (
        "_has_turn",
        "_is_idle",
        "_owner",
        "_send",
        "_task",
        "_waiting",
        "_writer",
        "awaits_extended",
        "closed",
        "code",
        "language",
        "script_name",
        "sid",
    )

    def __init__(self, send: Send, writer: Writer) -> None:
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
        self._writer = writer
        self._has_turn = False
        self._task: asyncio.Task[Any] | None = None
        """In which it is this tab's turn now."""
        self._is_idle: asyncio.Future[None] | None = None

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
        await self._wait(None)

    async def drop(self) -> None:
        """Finish what ``close`` began, for a few seconds; send nothing if the peer is gone by itself."""
        await self._wait(CLOSE_TIMEOUT if self.closed else 0)
        self.closed = True
        task = self._task
        self._cancel()
        if task is not None:
            await asyncio.wait({task})

    async def _wait(self, patience: float | None) -> None:
        if self._has_turn:
            if self._is_idle is None:
                self._is_idle = asyncio.get_running_loop().create_future()
            await asyncio.wait({self._is_idle}, timeout=patience)

    def _put(self, event: dict[str, Any]) -> None:
        self._waiting.append(event)
        if not self._has_turn:
            self._has_turn = True
            self._writer.want(self._write)

    def _cancel(self) -> None:
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            self._rest()

    def _rest(self) -> None:
        self._has_turn = False
        self._task = None
        if self._is_idle is not None:
            self._is_idle.set_result(None)
            self._is_idle = None

    async def _write(self) -> None:
        self._task = task = asyncio.current_task()
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
            # Unless it was cancelled: then the next turn is none of its business.
            if self._task is task:
                self._rest()

    async def _send_one(self, event: dict[str, Any]) -> None:
        try:
            await self._send(event)
        except Exception:
            if event.get("code", NORMAL_CLOSURE) not in REGISTERED_CODES:
                raise
            # daphne refuses to send these, and would leave the socket open.
            await self._send({**event, "code": NORMAL_CLOSURE})
