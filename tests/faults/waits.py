"""How long processes were kept from running by a machine that is busy with others: no fault of theirs.

Linux counts for each thread the time that it was ready to run and waited for a processor
(``/proc/PID/task/TID/schedstat``, the second number, in nanoseconds).
"""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

PERIOD = 0.1
"""Seconds between two samples, if the event loop that takes them is on time."""

Sample = dict[int, dict[str, float]]


class Waits:
    """Samples the processes that ``pids`` gives, and how late the event loop is that takes the samples."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids
        self._times: list[float] = []
        self._samples: list[Sample] = []

    def sample(self) -> None:
        self._samples.append({pid: waited(pid) for pid in self._pids()})
        self._times.append(time.time())

    def between(self, start: float, end: float) -> float:
        """Return the seconds that the server waited which waited longest, and by which the loop was late."""
        first = max(0, bisect_right(self._times, start) - 1)
        last = min(len(self._times) - 1, bisect_left(self._times, end))
        late = sum(
            max(0.0, after - before - PERIOD)
            for before, after in pairwise(self._times[first : last + 1])
        )
        return late + _longest(self._samples[first], self._samples[last])


def _longest(first: Sample, last: Sample) -> float:
    # A thread that ended meanwhile takes what it waited along.
    grown = (
        sum(seconds - first[pid].get(thread, 0.0) for thread, seconds in last[pid].items())
        for pid in first.keys() & last.keys()
    )
    return max(grown, default=0.0)


def waited(pid: int) -> dict[str, float]:
    """Return the seconds that each thread of a process has waited since it began."""
    seconds = {}
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            seconds[file.parent.name] = int(file.read_text().split()[1]) / 1e9
        except OSError:
            continue  # it has just ended
    return seconds
