"""Deadlines to a callback, on one event loop, with one timer for all of them.

Knows no sessions, sockets, stores or Django. Setting a deadline is a heap push; nothing is ever removed
from the middle of the heap: entries that were replaced or dropped are passed over when they come up.
"""

import heapq
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """What ``loop.call_at`` returns."""

    def cancel(self) -> None:
        """Make sure that the timer does not fire."""


class Clock(Protocol):
    """The part of an event loop that the scheduler uses; times are the loop's own, in seconds."""

    def time(self) -> float:
        """Return the loop's monotonic time."""

    def call_at(self, when: float, callback: Callable[[], None], /) -> Timer:
        """Call ``callback`` at ``when``."""


class Scheduler:
    """Calls ``callback`` with the keys whose deadlines have come up, together and never early.

    A key has one deadline: setting it again replaces it. A key is forgotten when it is handed to the
    callback. Call everything from the loop's own thread.
    """

    def __init__(self, clock: Clock, callback: Callable[[list[str]], None]) -> None:
        self._clock = clock
        self._callback = callback
        self._deadlines: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._timer: Timer | None = None
        self._timer_at = 0.0

    def __len__(self) -> int:
        return len(self._deadlines)

    def set(self, key: str, when: float) -> None:
        """Hand ``key`` to the callback at ``when`` (the clock's time), and at no other time set before."""
        self._deadlines[key] = when
        heapq.heappush(self._heap, (when, key))
        self._compact()
        if self._timer is None or when < self._timer_at:
            self._arm()

    def discard(self, key: str) -> None:
        """Forget ``key``; an unknown one does no harm."""
        self._deadlines.pop(key, None)
        if not self._deadlines:
            self.clear()
        self._compact()

    def clear(self) -> None:
        """Forget everything and hold no timer."""
        self._deadlines.clear()
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._heap[0][0]
        self._timer = self._clock.call_at(self._timer_at, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._clock.time()
        due: list[str] = []
        while self._heap and (self._heap[0][0] <= now or self._is_stale(self._heap[0])):
            entry = heapq.heappop(self._heap)
            if not self._is_stale(entry):
                del self._deadlines[entry[1]]
                due.append(entry[1])
        if self._heap:
            self._arm()
        if due:
            self._callback(due)

    def _is_stale(self, entry: tuple[float, str]) -> bool:
        return self._deadlines.get(entry[1]) != entry[0]

    def _compact(self) -> None:
        # Without this, a key that is set over and over would make the heap grow for as long as it lives.
        if len(self._heap) <= 2 * len(self._deadlines) + 64:
            return
        self._heap = [(when, key) for key, when in self._deadlines.items()]
        heapq.heapify(self._heap)
