"""One tab of a person through all its sockets: it comes back as the shipped client does, but sooner."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from bench.client import Tab as Socket

EXTEND, SYNC = b'{"type":"extend"}', b'{"type":"sync"}'
FIRST_WAIT, LAST_WAIT = 0.5, 2.0
ANSWER_TIMEOUT = 5.0
"""Seconds that the shipped client gives a ``sync`` before it takes the socket for dead."""
STATE_TIMEOUT = 20.0
ENDED, NOT_SIGNED_IN = 4001, 4401


class Told(NamedTuple):
    """That the session has ended: when it was heard, from whom, and since when the tab was there to hear."""

    at: float
    reason: str
    port: int
    connected_at: float | None


class LongTab:
    """``route`` gives the port for each attempt to connect. Instants are epoch seconds.

    ``probe`` are seconds of silence after which it asks whether the socket lives, None for never.
    """

    def __init__(
        self,
        session_key: str,
        route: Callable[[int], int],
        *,
        stays: bool = False,
        probe: float | None = None,
    ) -> None:
        self._session_key = session_key
        self._route = route
        self.stays = stays
        self._probe = probe
        self.socket: Socket | None = None
        self.connected_at: float | None = None
        self.deadline_at = 0.0
        self.warned_at: float | None = None
        self.told: Told | None = None
        self.states = 0
        self.troubles = 0
        self.codes: Counter[int] = Counter()

    async def follow(self) -> None:
        """Hold a socket until the session has ended."""
        wait, attempt = FIRST_WAIT, 0
        while self.told is None:
            try:
                await self._live(self._route(attempt))
            except OSError:
                pass
            finally:
                if self.connected_at is not None:
                    wait, self.connected_at = FIRST_WAIT, None
                if self.socket is not None:
                    self.socket.close()
            if self.told is None:
                await asyncio.sleep(random.uniform(0, wait))
                wait, attempt = min(2 * wait, LAST_WAIT), attempt + 1

    def send(self, message: bytes) -> None:
        if self.socket is not None:
            self.socket.send(message)

    async def _live(self, port: int) -> None:
        self.socket = None
        self.socket = socket = await Socket.open(port, self._session_key)
        try:
            async with asyncio.timeout(STATE_TIMEOUT):
                self._heard(port, *await socket.hear())
            while True:
                self._heard(port, *await self._next(socket))
        except ConnectionError:
            self.codes[socket.close_code] += 1
            if socket.close_code in (ENDED, NOT_SIGNED_IN) and self.told is None:
                self.told = Told(time.time(), "", port, self.connected_at)

    async def _next(self, socket: Socket) -> Any:
        try:
            async with asyncio.timeout(self._probe):
                return await socket.hear()
        except TimeoutError:
            socket.send(SYNC)
            async with asyncio.timeout(ANSWER_TIMEOUT):
                return await socket.hear()

    def _heard(self, port: int, at: float, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "expired":
            self.told = Told(at, message["reason"], port, self.connected_at)
            return
        if "expires_in" in message:
            self.deadline_at = message["at"] + message["expires_in"]
        if kind == "state" and self.connected_at is None:
            self.states += 1
            self.connected_at = at
        elif kind == "error":
            self.troubles += 1
        if kind == "warning" or message.get("phase") == "warning":
            self.warned_at = at
            if self.stays:
                self.send(EXTEND)
