"""A few threads with database connections that stay open from one job to the next."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from django.db import connections

T = TypeVar("T")


class DatabaseThreads:
    """At most ``size`` threads for an event loop's blocking work, apart from the threads of the views.

    A ThreadPoolExecutor cannot say that a thread is about to end, which is when its connections must be
    closed. They are closed, too, after a job that raised, since it may have broken one, and each one that
    has failed, though the job made the best of it.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._started = 0
        self._pending: set[Future[Any]] = set()
        self._lock = threading.Lock()

    async def run(self, job: Callable[..., T], *args: Any) -> T:
        """Run ``job`` on one of the threads and return what it returns."""
        return await asyncio.wrap_future(self.submit(job, *args))

    def submit(self, job: Callable[..., T], *args: Any) -> "Future[T]":
        """Queue ``job``; it runs even if nobody waits for it any more."""
        future: Future[T] = Future()
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        self._jobs.put(lambda: _run(future, job, *args))
        with self._lock:
            if self._started < self._size:
                self._started += 1
                name = f"{self._name}-{self._started}"
                # Daemons: a server that is killed must not wait for them.
                threading.Thread(target=self._work, name=name, daemon=True).start()
        return future

    async def wait(self) -> None:
        """Wait until all that is queued by now has been done."""
        # A copy: threads take away what they have done.
        if pending := self._pending.copy():
            await asyncio.wait([asyncio.wrap_future(future) for future in pending])

    def stop(self) -> None:
        """Let queued jobs finish, then close connections and end the threads; does not wait for it."""
        with self._lock:
            for _ in range(self._started):
                self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        connections.close_all()


def _run(future: "Future[T]", job: Callable[..., T], *args: Any) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = job(*args)
    except BaseException as error:
        connections.close_all()
        future.set_exception(error)
    else:
        for connection in connections.all(initialized_only=True):
            if connection.errors_occurred:
                connection.close()
        future.set_result(result)
