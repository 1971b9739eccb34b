"""Records to keep, and the time by which they are kept."""

from typing import Any

from realtime_session.policy import Policy, Record

T0 = 1_800_000_000.0
# Fractions of two are exact in every database.
JUST = 1 / 1024


class Clock:
    """Epoch seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def sid(number: int = 0) -> str:
    return f"{number:032x}"


def record(number: int = 0, **facts: Any) -> Record:
    """A session of 100 s with 20 s of warning, which began at T0 unless ``facts`` say otherwise."""
    defaults: dict[str, Any] = {
        "user_id": "1",
        "started_at": T0,
        "last_activity_at": T0,
        "policy": Policy(idle_timeout=100, warn_before=20),
    }
    return Record(sid=sid(number), **defaults | facts)


def began_ago(seconds: float, number: int = 0, **facts: Any) -> Record:
    """A record to be opened with ``as_of=0``, for stores that have a clock of their own."""
    return record(number, started_at=-seconds, last_activity_at=-seconds, **facts)
