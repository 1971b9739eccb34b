"""Carries nudges out of a process that serves no sockets, as under WSGI: no event loop is there to do it."""

import asyncio
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future

from .channel_layer import own_layer
from .nudges import MAX_QUEUED, Outbox
from .tasks import Trouble

PATIENCE = 2.0
"""Seconds for which a request may wait for a channel layer that does not answer."""
NO_WAIT = 10.0
"""Seconds after a failure for which no request waits."""
LINGER = 1.0
"""Seconds for which the thread keeps its connection when there is nothing to send."""


class Courier:
    """A thread with an event loop for as long as there are nudges, so that not each of them connects anew.

    Before the thread ends it sends a message without sids: should its last nudge be lost, that is noticed.
    """

    def __init__(self) -> None:
        self._wakeup = threading.Condition()
        self._thread: threading.Thread | None = None
        self._sids: dict[str, None] = {}
        self._sent: Future[None] = Future()
        self._owes_beat = False
        self._lingers = True
        self._waits_from = 0.0
        self._outbox = Outbox()
        self._trouble = Trouble("realtime-session-courier")

    def carry(self, sids: Iterable[str]) -> None:
        """Send a nudge over the channel layer, which must cross; callable from any thread.

        It has been sent when this returns, unless the layer is in trouble, or an event loop runs in
        the calling thread and must not be made to wait.
        """
        with self._wakeup:
            if len(self._sids) <= MAX_QUEUED:
                self._sids.update(dict.fromkeys(sids))
            sent = self._sent
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(
                    target=self._work, name="realtime-session-courier", daemon=True
                )
                thread.start()
                self._thread = thread
            self._wakeup.notify()
        if time.monotonic() < self._waits_from or asyncio._get_running_loop() is not None:
            return
        try:
            sent.result(PATIENCE)
        except TimeoutError:
            self._waits_from = time.monotonic() + NO_WAIT

    def finish(self) -> None:
        """Before the process exits: do now what the thread would do after a while."""
        with self._wakeup:
            self._lingers = False
            self._wakeup.notify()
            thread = self._thread
        if thread is not None:
            thread.join(PATIENCE)

    def _work(self) -> None:
        with asyncio.Runner() as runner:
            while (sent := self._next()) is not None:
                try:
                    runner.run(self._send())
                except Exception as error:
                    self._waits_from = time.monotonic() + NO_WAIT
                    self._trouble.begins(error)
                else:
                    self._waits_from = 0.0
                    self._trouble.ends()
                sent.set_result(None)

    def _next(self) -> "Future[None] | None":
        """Wait for something to send; None if there is nothing left to do."""
        with self._wakeup:
            if self._owes_beat:
                self._wakeup.wait_for(lambda: self._sids or not self._lingers, LINGER)
            if self._sids:
                sent, self._sent = self._sent, Future()
                self._outbox.add(self._sids)
                self._sids = {}
                self._owes_beat = True
                return sent
            if self._owes_beat:
                self._owes_beat = False
                return Future()
            self._thread = None
            return None

    async def _send(self) -> None:
        layer = own_layer()
        await self._outbox.flush(layer)
        if not self._owes_beat:
            await self._outbox.beat(layer)
