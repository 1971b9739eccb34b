"""How long processes were kept from running by a machine that is busy with others: no fault of theirs.

Linux counts for each thread the time that it was ready to run and waited for a processor
(``/proc/PID/task/TID/schedstat``, the second number, in nanoseconds).
"""

import os
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from pathlib import Path


class Waits:
    """Samples the processes that ``pids`` gives, and this one."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids
        self._times: list[float] = []
        self._samples: list[dict[int, float]] = []

    def sample(self) -> None:
        pids = [os.getpid(), *self._pids()]
        self._samples.append({pid: waited(pid) for pid in pids})
        self._times.append(time.time())

    def between(self, start: float, end: float) -> float:
        """Return the seconds that this process waited in that time, and the server that waited longest."""
        first = self._samples[max(0, bisect_right(self._times, start) - 1)]
        last = self._samples[min(len(self._samples) - 1, bisect_left(self._times, end))]
        own = os.getpid()
        grown = {pid: last[pid] - first[pid] for pid in first.keys() & last.keys()}
        return grown.pop(own) + max(grown.values(), default=0.0)


def waited(pid: int) -> float:
    """Return the seconds that the threads of a process have waited since they began."""
    seconds = 0.0
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            seconds += int(file.read_text().split()[1]) / 1e9
        except OSError:
            continue  # it has just ended
    return seconds
