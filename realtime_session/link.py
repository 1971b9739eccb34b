"""One event loop's link to the channel layer: nudges from other processes, and nudges to them."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from . import bus
from .batcher import Batcher
from .tasks import Service

logger = logging.getLogger(__name__)

REJOIN = 60.0
"""Seconds between joins of the group: membership lapses after the layer's ``group_expiry``."""


class Link:
    """Calls ``hear`` with sids that others nudge, and ``after_gap`` when nudges may have been missed.

    Where no channel layer reaches another process it does nothing.
    """

    def __init__(self, hear: Callable[[list[str]], None], after_gap: Callable[[], None]) -> None:
        self._hear = hear
        self._after_gap = after_gap
        self._loop = asyncio.get_running_loop()
        self._layer: Any = bus.crossing_layer()
        self._channel = ""
        self._receiver = Service("bus", self._receive)
        self._rejoiner = Service("bus-membership", self._rejoin)
        self._sender: Batcher[None, None] = Batcher("nudge", self._send)

    def start(self) -> None:
        """Join the group and begin to send."""
        if self._layer is None:
            return
        self._receiver.start()
        self._rejoiner.start()
        self._sender.start()
        bus.add_relay(self)

    async def stop(self) -> None:
        """Send what is still here and leave the group."""
        if self._layer is None:
            return
        bus.remove_relay(self)
        await self._sender.stop()
        await self._rejoiner.stop()
        await self._receiver.stop()
        with suppress(Exception):
            await self._layer.group_discard(bus.GROUP, self._channel)

    def relay(self, sids: list[str]) -> None:
        """Send a nudge to the other processes; callable from any thread."""
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._queue, sids)

    def _queue(self, sids: list[str]) -> None:
        for sid in sids:
            self._sender.add(sid, None)

    async def _send(self, batch: dict[str, None]) -> dict[str, None]:
        await self._layer.group_send(bus.GROUP, bus.message(list(batch)))
        return {}

    async def _receive(self) -> None:
        self._channel = await self._layer.new_channel()
        await self._layer.group_add(bus.GROUP, self._channel)
        self._after_gap()
        while True:
            message = await self._layer.receive(self._channel)
            if message.get("origin") != bus.origin():
                self._hear(message["sids"])

    async def _rejoin(self) -> None:
        while True:
            await asyncio.sleep(REJOIN)
            if self._channel:
                await self._layer.group_add(bus.GROUP, self._channel)
