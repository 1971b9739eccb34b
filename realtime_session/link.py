"""One event loop's link to the channel layer: nudges from other processes, and nudges to them."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from . import bus, channel_layer, metrics
from .nudges import GROUP, Inbox, Outbox, origin
from .tasks import Service, end

HEARTBEAT = 10.0
"""Seconds between two messages that this link sends in order to hear them."""
ECHO_TIMEOUT = 5.0
"""Seconds of silence after which a heartbeat is lost."""
BACKLOG_TIMEOUT = 60.0
"""Seconds after which it is lost although other messages come, as they do to a process that stood still."""
JOIN_TIMEOUT = 5.0
STOP_TIMEOUT = 2.0
LOOKS_APART = 1.0
"""Seconds between two looks at everything: after an outage each of the other processes can be a reason."""


class Link:
    """Calls ``hear`` with sids that others nudge, and ``after_gap`` when nudges may have been missed.

    Layers lose messages in silence: the pub/sub layer while it reconnects, a full channel, a group that was
    flushed. So the link sends itself a heartbeat through the group, the way of all nudges. If one does not
    come back, or the layer raises, it closes the layer and joins again, later and later each time; as soon
    as it hears itself, everything is looked at. What others sent and was lost shows by the numbers
    (``nudges.Inbox``), at their next heartbeat at the latest.

    So a membership that was lost is back within ``HEARTBEAT + ECHO_TIMEOUT`` and the first restart: 16 s.
    Looking at everything at intervals instead would cost the store more, and would be later.

    Where no channel layer reaches another process it does nothing.
    """

    def __init__(self, hear: Callable[[list[str]], None], after_gap: Callable[[], None]) -> None:
        self._hear = hear
        self._after_gap = after_gap
        self._loop = asyncio.get_running_loop()
        self._crosses = channel_layer.crossing_layer() is not None
        self._layer: Any = None
        self._channel = ""
        self._hears_itself = False
        self._inbox = Inbox()
        self._outbox = Outbox()
        self._heard_of_own = 0
        self._joined, self._heard_any = asyncio.Event(), asyncio.Event()
        self._wanted, self._gap = asyncio.Event(), asyncio.Event()
        self._service = Service("bus", self._attend)

    def start(self) -> None:
        """Join the group and begin to send."""
        if self._crosses:
            self._service.start()
            bus.add_relay(self)

    async def stop(self) -> None:
        """Send what is still here and leave the group; wait for neither if the layer is away."""
        if not self._crosses:
            return
        bus.remove_relay(self)
        # What other threads relayed is on its way through the loop.
        await asyncio.sleep(0)
        if self._hears_itself:
            with suppress(Exception):
                async with asyncio.timeout(STOP_TIMEOUT):
                    await self._outbox.flush(self._layer)
                    await self._layer.group_discard(GROUP, self._channel)
        await self._service.stop()

    def relay(self, sids: list[str]) -> None:
        """Send a nudge to the other processes; callable from any thread. Raises RuntimeError."""
        self._loop.call_soon_threadsafe(self._send_soon, sids)

    def _send_soon(self, sids: list[str]) -> None:
        self._outbox.add(sids)
        self._wanted.set()

    async def _attend(self) -> None:
        """Do all that is to be done until some of it fails, and raise that."""
        self._layer = channel_layer.own_layer()
        self._joined.clear()
        tasks = [
            asyncio.create_task(work(), name=f"realtime-session-bus{work.__name__}")
            for work in (self._receive, self._send, self._beat, self._look)
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hears_itself = False
            channel_layer.forget_channels(self._layer)
            await end(tasks, cleanup=0.1)
            await channel_layer.close(self._layer)
        for task in done:
            task.result()

    async def _join(self) -> None:
        self._inbox = Inbox()
        async with asyncio.timeout(JOIN_TIMEOUT):
            left, self._channel = self._channel, await self._layer.new_channel()
            await self._layer.group_add(GROUP, self._channel)
            if left:
                await self._layer.group_discard(GROUP, left)
        self._joined.set()

    async def _receive(self) -> None:
        await self._join()
        while True:
            try:
                message = await self._layer.receive(self._channel)
            except Exception as error:
                if not channel_layer.is_silence(error):
                    raise
                continue
            self._heard_any.set()
            if self._inbox.misses(message["sender"], message["number"]):
                self._gap.set()
            if message["sender"] == self._outbox.sender:
                self._heard_of_own = message["number"]
            elif message["sids"] and message["origin"] != origin():
                metrics.nudges["heard"].inc(len(message["sids"]))
                self._hear(message["sids"])

    async def _send(self) -> None:
        self._wanted.set()
        await self._joined.wait()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._outbox.flush(self._layer)

    async def _beat(self) -> None:
        """Stay in the group, and make sure of it. Raises TimeoutError if a heartbeat does not come back."""
        await self._joined.wait()
        while True:
            number = await self._outbox.beat(self._layer)
            async with asyncio.timeout(BACKLOG_TIMEOUT):
                while self._heard_of_own < number:
                    await self._await_message()
            # Not before the echo: else a membership that was lost would come back without a word.
            async with asyncio.timeout(JOIN_TIMEOUT):
                await self._layer.group_add(GROUP, self._channel)
            if not self._hears_itself:
                self._hears_itself = True
                self._service.works()
                self._gap.set()
            pause = min(HEARTBEAT, channel_layer.membership_lasts(self._layer) / 3)
            await asyncio.sleep(pause * random.uniform(0.8, 1.0))  # noqa: S311

    async def _await_message(self) -> None:
        self._heard_any.clear()
        async with asyncio.timeout(ECHO_TIMEOUT):
            await self._heard_any.wait()

    async def _look(self) -> None:
        while True:
            await self._gap.wait()
            self._gap.clear()
            self._after_gap()
            await asyncio.sleep(LOOKS_APART)
