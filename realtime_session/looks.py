"""What this process saw when it last looked at a session, so that a burst of requests looks once."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock

from . import bus
from .forks import in_each_fork
from .policy import Phase, Record, evaluate

MAX_LOOKS = 10_000


def window(record: Record) -> float:
    """Return for how many seconds a look at the session holds."""
    return min(1.0, record.idle_limit / 20)


@dataclass(frozen=True, slots=True)
class Look:
    """One look: the record at the store's ``now``; ``counted`` if activity was noted with it."""

    record: Record
    now: float
    counted: bool
    taken_at: float


class Looks:
    """The latest looks by session cookie, in memory only, the oldest dropped first. Thread-safe.

    An end or a nudge anywhere in the process drops what is remembered of a session.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget everything, whoever is at it."""
        self._looks: OrderedDict[str, Look] = OrderedDict()
        self._cookies: dict[str, str] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._looks)

    def remember(self, cookie: str, record: Record, now: float, *, counted: bool) -> None:
        """Keep what was just seen."""
        with self._lock:
            self._drop(cookie)
            self._drop(self._cookies.get(record.sid, ""))
            self._looks[cookie] = Look(record, now, counted, self._clock())
            self._cookies[record.sid] = cookie
            while len(self._looks) > MAX_LOOKS:
                self._drop(next(iter(self._looks)))

    def recall(self, cookie: str) -> Look | None:
        """Return a look that still holds: it is fresh, and the session is active by the clock."""
        with self._lock:
            look = self._looks.get(cookie)
            if look is None:
                return None
            age = self._clock() - look.taken_at
            phase = evaluate(look.record, look.now + age).phase
            if age < window(look.record) and phase is Phase.ACTIVE:
                return look
            self._drop(cookie)
            return None

    def forget(self, sids: Iterable[str]) -> None:
        """Drop what is remembered of these sessions."""
        with self._lock:
            for sid in sids:
                self._drop(self._cookies.get(sid, ""))

    def _drop(self, cookie: str) -> None:
        look = self._looks.pop(cookie, None)
        if look is not None:
            self._cookies.pop(look.record.sid, None)


looks = Looks()
bus.listen(looks.forget)
in_each_fork(looks.begin_anew)
