"""SIGTERM: sockets are closed and what is batched is written, before the server hears that it is to stop.

Servers differ in what they do then. uvicorn closes its sockets with 1012 and waits for them; daphne cancels
them and waits for the first; granian drops them and exits, and what was batched would be lost.
"""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from .forks import in_each_fork

DRAIN_TIMEOUT = 6.0
"""Seconds that the server may be kept waiting: less than the 10 that containers get to stop."""
REFUSE_FOR = 30.0
"""Seconds for which no socket is served after a SIGTERM. A process that lives on serves them again."""

_refuses_until = float("-inf")
_started: set["Drain"] = set()


def is_stopping() -> bool:
    """Say whether this process was told to stop just now, so that no socket is to be served."""
    return time.monotonic() < _refuses_until


class Drain:
    """Keeps SIGTERM from the server until ``work`` is done, or a second one says that it is urgent.

    Does nothing outside of the main thread, which alone may handle signals, where SIGTERM is ignored, and on
    an event loop that reads no sockets of others, as Windows has one.
    Signals reach an event loop through Python's handlers (``signal.signal``) or through the wakeup descriptor
    (``loop.add_signal_handler``): both are replaced, and put back before the signal is raised anew. A process
    that is forked meanwhile gets them back at once: its signals are not ours.
    """

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._handler: Any = None
        self._own_handler = self._told
        self._server_fd = -1
        self._reader: socket.socket | None = None
        self._writer: socket.socket | None = None

    def start(self) -> None:
        """Take the signal."""
        if threading.current_thread() is not threading.main_thread() or is_stopping():
            return
        self._handler = signal.getsignal(signal.SIGTERM)
        if self._handler in (None, signal.SIG_IGN):
            return
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        try:
            self._loop.add_reader(reader, self._pass_on)
        except NotImplementedError:
            reader.close()
            writer.close()
            return
        self._reader, self._writer = reader, writer
        self._server_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._own_handler)
        _started.add(self)

    def stop(self) -> None:
        """Give the signal back, unless somebody else has taken it meanwhile."""
        if self._reader is None or self._writer is None:
            return
        _started.discard(self)
        if signal.getsignal(signal.SIGTERM) is self._own_handler:
            signal.signal(signal.SIGTERM, self._handler)
        current = signal.set_wakeup_fd(-1)
        wanted = self._server_fd if current == self._writer.fileno() else current
        with suppress(ValueError, OSError):  # the loop that it belonged to has been closed
            signal.set_wakeup_fd(wanted, warn_on_full_buffer=False)
        self._loop.remove_reader(self._reader)
        self._reader.close()
        self._writer.close()
        self._reader = self._writer = None

    def after_fork(self) -> None:
        """Give the signal back in a forked process; the loop's selector is still its parent's too."""
        if signal.getsignal(signal.SIGTERM) is self._own_handler:
            signal.signal(signal.SIGTERM, self._handler)
        signal.set_wakeup_fd(-1)

    def _told(self, number: int, frame: object) -> None:
        # Not left to the descriptor: ``loop.add_signal_handler`` takes that for itself whenever it is called.
        try:
            self._loop.call_soon_threadsafe(self._begin)
        except RuntimeError:  # the loop has been closed
            signal.signal(signal.SIGTERM, self._handler)
            signal.raise_signal(signal.SIGTERM)

    def _pass_on(self) -> None:
        """Give the server's loop the signals that the descriptor brought, but for SIGTERM."""
        if self._reader is None:
            return
        for number in self._reader.recv(64):
            if number != signal.SIGTERM and self._server_fd != -1:
                with suppress(OSError):
                    os.write(self._server_fd, bytes([number]))

    def _begin(self) -> None:
        global _refuses_until
        if self._task is not None:
            self._task.cancel()
            return
        _refuses_until = time.monotonic() + REFUSE_FOR
        self._task = self._loop.create_task(self._run(), name="realtime-session-drain")

    async def _run(self) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_TIMEOUT):
                    await self._work()
        finally:
            self.stop()
            signal.raise_signal(signal.SIGTERM)


@in_each_fork
def _give_back() -> None:
    for drain in tuple(_started):
        drain.after_fork()
    _started.clear()
