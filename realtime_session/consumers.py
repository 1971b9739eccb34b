"""The WebSocket consumer: one for each tab. It speaks the protocol and leaves the rest to the hub."""

import asyncio
import time
from typing import Any

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from msgspec import UNSET

from . import drain, metrics, presenter, protocol
from .findings import Found
from .handshake import Handshake
from .hub import Hub
from .local_session import expired, unavailable
from .logs import get_logger
from .policy import EndReason
from .protocol import (
    MAX_BAD_MESSAGES,
    Activity,
    BadFrameError,
    BadMessageError,
    ClientMessage,
    CloseCode,
    Error,
    Extend,
    Sync,
)
from .stores import StoreUnavailable
from .tab import Send, Tab
from .watch import TooManyTabsError

logger = get_logger(__name__)


class SessionConsumer(AsyncWebsocketConsumer):
    """One tab's socket.

    Unlike a stock consumer it has no channel and no group of its own, and does not hop to a thread for each
    message to close database connections: it has none. Its application ends with its socket.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._to_client: Send = send
        self.limit = MessageLimit()
        self.bad_messages = 0
        self.handshake: Handshake | None = Handshake(scope)
        self.hub = Hub.attach()
        self.tab = Tab(send, self.hub.writer)
        self.server_stops = False
        self.left = "gone"
        try:
            while not self.tab.closed:
                await self.dispatch(await receive())
        except StopConsumer:
            pass
        except asyncio.CancelledError:
            # The hub interrupts in order to close the tab; when the server cancels, that is for good.
            task = asyncio.current_task()
            if not self.tab.closed or task is None:
                self.server_stops = True
                self.tab.close(CloseCode.SERVICE_RESTART)
                raise
            task.uncancel()
        finally:
            comes_back = self.server_stops or drain.is_stopping()
            self._count()
            await self.hub.detach(self.tab, comes_back=comes_back)

    def _count(self) -> None:
        code = None if self.tab.code is None else str(int(self.tab.code))
        if self.tab.sid:
            metrics.open_tabs.dec()
            metrics.closes[code or "peer"].inc()
        else:
            metrics.connects[code or self.left].inc()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Handle one event of the server. Nothing that a client sends can name a handler."""
        match message["type"]:
            case "websocket.connect":
                await self.connect()
            case "websocket.receive":
                await self.receive(message.get("text"), message.get("bytes"))
            case "websocket.disconnect":
                self.server_stops = message.get("code") == CloseCode.SERVICE_RESTART
                raise StopConsumer

    async def connect(self) -> None:
        """Accept and say the state, or refuse; what a page is to understand is accepted first."""
        handshake, self.handshake = self.handshake, None
        if handshake is None or not handshake.has_allowed_origin:
            self.left = "refused"
            await self._to_client({"type": "websocket.close"})
            raise StopConsumer
        await self.accept(handshake.subprotocol)
        self.tab.language, self.tab.script_name = handshake.language, handshake.script_name
        if drain.is_stopping():
            self.tab.close(CloseCode.SERVICE_RESTART)
        elif not handshake.has_common_subprotocol:
            self.tab.close(CloseCode.NO_COMMON_SUBPROTOCOL)
        else:
            await self._sign_in(handshake.session_key)

    async def accept(self, subprotocol: str | None = None, headers: Any = None) -> None:
        """Accept the socket."""
        await self._to_client({"type": "websocket.accept", "subprotocol": subprotocol})

    async def _sign_in(self, session_key: str) -> None:
        with self.hub.watch.arriving(self.tab):
            await self._find_and_join(session_key)

    async def _find_and_join(self, session_key: str) -> None:
        try:
            found, reason = await self._find(session_key)
        except Exception as error:
            # Whatever the project's session engine or authentication backend raises when it is down.
            logger.warning(
                "A socket could not be served: %s",
                type(error).__name__,
                extra={"event": "socket_not_served", "error": type(error).__name__},
            )
            self.tab.push(unavailable(self.hub.store.now()))
            self.tab.close(CloseCode.TRY_AGAIN_LATER)
            return
        if found is not None:
            self._join(found)
            return
        if reason is not None:
            self.tab.push(expired(self.tab, reason, self.hub.store.now()))
        self.tab.close(CloseCode.NOT_SIGNED_IN)

    async def _find(self, session_key: str) -> tuple[Found | None, EndReason | None]:
        """Return the live session behind a cookie; else None and, where it is known, why."""
        if not session_key:
            return None, None
        identity = await self.hub.identities.find(session_key)
        if identity is None:
            return None, await self.hub.store.why_gone(session_key)
        found = await self.hub.store.find(identity.sid)
        if found is None:
            return None, EndReason.UNKNOWN
        if not found.is_live:
            return None, found.status.reason
        return found, None

    def _join(self, found: Found) -> None:
        try:
            self.hub.watch.join(self.tab, found)
        except TooManyTabsError:
            self.tab.close(CloseCode.TOO_MUCH)
        else:
            metrics.open_tabs.inc()
            metrics.connects["served"].inc()
            self.tab.push(presenter.state(found.record, found.now))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Act on a client's frame, or say why not."""
        now = self.hub.store.now()
        if not self.limit.allows(time.monotonic()):
            self.tab.push(Error(at=now, code="rate_limited", detail="Too many messages."))
            self.tab.close(CloseCode.TOO_MUCH)
            return
        try:
            message = protocol.decode(text_data)
        except BadFrameError:
            self.tab.close(CloseCode.BAD_FRAMES)
        except BadMessageError as error:
            self.tab.push(Error(at=now, code=error.code, detail=error.detail, id=error.id))
            self.bad_messages += 1
            if self.bad_messages > MAX_BAD_MESSAGES:
                self.tab.close(CloseCode.BAD_FRAMES)
        else:
            await self._act(message)

    async def _act(self, message: ClientMessage) -> None:
        if isinstance(message, Activity):
            self.hub.watch.activity(self.tab)
            return
        id = getattr(message, "id", UNSET)
        try:
            if isinstance(message, Extend):
                found = await self.hub.extend(self.tab)
                if found is not None and found.is_live:
                    self.tab.push(presenter.extended(found.status, found.now, id))
            elif isinstance(message, Sync):
                found = await self.hub.store.find(self.tab.sid)
                if found is not None and found.is_live:
                    self.tab.push(presenter.state(found.record, found.now, id))
            else:
                await self.hub.store.end(self.tab.sid, EndReason.LOGOUT)
        except StoreUnavailable:
            self.tab.push(unavailable(self.hub.store.now(), id))
        await self.tab.flushed()


class MessageLimit:
    """A token bucket: 50 messages, filled up every 5 seconds; so never more than 10 a second for long."""

    __slots__ = ("_filled_at", "_tokens")
    tokens = 50
    interval = 5.0

    def __init__(self) -> None:
        self._tokens = 0
        self._filled_at = float("-inf")

    def allows(self, now: float) -> bool:
        """Take a token at ``now`` (monotonic seconds); say whether there was one."""
        if now - self._filled_at >= self.interval:
            self._filled_at = now
            self._tokens = self.tokens
        self._tokens -= 1
        return self._tokens >= 0
