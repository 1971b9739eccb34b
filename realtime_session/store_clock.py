"""The store's clock as one event loop knows it: from what each answer says."""

import time
from collections.abc import Callable

from .logs import get_logger

CLOCK_STEP = 2.0
"""By how many seconds the clock has to be off to have been set; what is less, a correction may be."""

logger = get_logger(__name__)


class StoreClock:
    """Epoch seconds of the store, told by ``loop_time``, which is monotonic; ``stepped`` hears of jumps."""

    def __init__(self, loop_time: Callable[[], float], stepped: Callable[[], None]) -> None:
        self._loop_time = loop_time
        self._stepped = stepped
        self._ahead = time.time() - loop_time()
        self._known: tuple[float, float] | None = None

    def now(self) -> float:
        """Return the store's now, as far as its last answer tells."""
        return self._loop_time() + self._ahead

    def loop_time(self, instant: float) -> float:
        """Return the loop's time of an instant of the store: rather too early than too late."""
        return instant - self._ahead

    def heard(self, now: float, asked_at: float) -> None:
        """Learn from an answer to what was asked at the loop's time ``asked_at``."""
        # The store looked at its clock between question and answer: only what lies outside of that is a step.
        at_least, at_most = now - self._loop_time(), now - asked_at
        was_at_least, was_at_most = self._known or (at_least, at_most)
        step = max(0.0, at_least - was_at_most) + min(0.0, at_most - was_at_least)
        self._known = at_least, at_most
        self._ahead = at_most
        if abs(step) > CLOCK_STEP:
            logger.warning(
                "The store's clock jumped by %+.1f s: somebody set it, or its machine slept. "
                "Deadlines come that much sooner (+) or later (-).",
                step,
                extra={"event": "clock_stepped", "seconds": round(step, 1)},
            )
            self._stepped()
