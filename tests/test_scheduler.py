import math
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from realtime_session.scheduler import Scheduler


class FakeTimer:
    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    """Time that passes when it is told to. Timers fire late by ``lag``, as they do on a busy loop."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[FakeTimer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(when, callback)
        self.timers.append(timer)
        return timer

    @property
    def pending(self) -> list[FakeTimer]:
        self.timers = [timer for timer in self.timers if not timer.cancelled]
        return self.timers

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.pending if timer.when <= end]:
            timer = min(due, key=lambda timer: timer.when)
            self.timers.remove(timer)
            self.now = max(self.now, timer.when)
            timer.callback()
        self.now = end


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def calls():
    """What the callback was given, and when."""
    return []


@pytest.fixture
def scheduler(clock, calls):
    return Scheduler(clock, lambda keys: calls.append((clock.now, sorted(keys))))


def test_key_comes_up_at_its_deadline_and_not_before(clock, calls, scheduler):
    scheduler.set("a", 110)
    clock.advance(9.999)
    assert calls == []
    clock.advance(0.001)
    assert calls == [(110, ["a"])]


def test_key_comes_up_once(clock, calls, scheduler):
    scheduler.set("a", 110)
    clock.advance(1000)
    assert calls == [(110, ["a"])]
    assert len(scheduler) == 0
    assert clock.pending == []


def test_deadline_in_the_past_comes_up_with_the_next_turn_of_the_loop(clock, calls, scheduler):
    scheduler.set("a", 50)
    assert calls == []
    clock.advance(0)
    assert calls == [(100, ["a"])]


def test_keys_that_are_due_together_come_together(clock, calls, scheduler):
    for key in "abc":
        scheduler.set(key, 110)
    scheduler.set("d", 120)
    clock.advance(30)
    assert calls == [(110, ["a", "b", "c"]), (120, ["d"])]


@pytest.mark.parametrize("when", [105, 115])
def test_later_deadline_replaces_an_earlier_one_in_either_direction(clock, calls, scheduler, when):
    scheduler.set("a", 110)
    scheduler.set("a", when)
    clock.advance(100)
    assert calls == [(when, ["a"])]


def test_same_deadline_twice_comes_up_once(clock, calls, scheduler):
    scheduler.set("a", 110)
    scheduler.set("a", 110)
    clock.advance(100)
    assert calls == [(110, ["a"])]


def test_deadline_moved_away_and_back_comes_up_once(clock, calls, scheduler):
    for when in (110, 120, 110):
        scheduler.set("a", when)
    clock.advance(100)
    assert calls == [(110, ["a"])]


def test_discarded_key_does_not_come_up(clock, calls, scheduler):
    scheduler.set("a", 110)
    scheduler.set("b", 120)
    scheduler.discard("a")
    assert len(scheduler) == 1
    clock.advance(100)
    assert calls == [(120, ["b"])]


def test_discarding_the_last_key_leaves_no_timer(clock, scheduler):
    scheduler.set("a", 110)
    scheduler.discard("a")
    assert clock.pending == []


def test_discarding_an_unknown_key_does_no_harm(clock, calls, scheduler):
    scheduler.set("a", 110)
    scheduler.discard("b")
    clock.advance(10)
    assert calls == [(110, ["a"])]


def test_discarded_key_can_be_set_again(clock, calls, scheduler):
    scheduler.set("a", 110)
    scheduler.discard("a")
    scheduler.set("a", 130)
    clock.advance(100)
    assert calls == [(130, ["a"])]


def test_clearing_forgets_everything_and_leaves_no_timer(clock, calls, scheduler):
    scheduler.set("a", 110)
    scheduler.set("b", 120)
    scheduler.clear()
    assert len(scheduler) == 0
    assert clock.pending == []
    clock.advance(100)
    assert calls == []


def test_callback_may_set_the_same_key_again(clock):
    calls = []

    def again(keys):
        calls.append(clock.now)
        if len(calls) < 3:
            scheduler.set(keys[0], clock.now + 10)

    scheduler = Scheduler(clock, again)
    scheduler.set("a", 110)
    clock.advance(1000)
    assert calls == [110, 120, 130]


def test_callback_that_fails_does_not_stop_the_other_deadlines(clock):
    calls = []

    def fail(keys):
        calls.append(keys)
        raise LookupError

    scheduler = Scheduler(clock, fail)
    scheduler.set("a", 110)
    scheduler.set("b", 120)
    for _ in range(2):
        with pytest.raises(LookupError):
            clock.advance(10)
    assert calls == [["a"], ["b"]]


def test_timer_that_fires_a_little_early_is_armed_again(clock, calls, scheduler):
    # An event loop rounds to its clock's resolution.
    scheduler.set("a", 110)
    clock.pending[0].when = 109.999
    clock.advance(9.9995)
    assert calls == []
    clock.advance(0.001)
    assert calls == [(110, ["a"])]


def test_there_is_one_timer_however_many_keys(clock, scheduler):
    for number in range(1000):
        scheduler.set(str(number), 1000 - number / 10)
    assert len(clock.pending) == 1


def test_key_that_is_set_for_ever_takes_no_more_memory(clock, scheduler):
    for number in range(10_000):
        scheduler.set("a", 200 + number)
    assert len(scheduler._heap) < 100


class AgainstModel(RuleBasedStateMachine):
    """A dictionary of deadlines is the whole truth; the scheduler is to tell the same story."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.calls: list[tuple[float, list[str]]] = []
        self.scheduler = Scheduler(
            self.clock, lambda keys: self.calls.append((self.clock.now, sorted(keys)))
        )
        self.deadlines: dict[str, float] = {}

    keys = st.sampled_from("abcdef")
    # Quarters are exact in binary, and often the same.
    durations = st.integers(-8, 80).map(lambda quarters: quarters / 4)

    @rule(key=keys, after=durations)
    def set(self, key: str, after: float) -> None:
        self.scheduler.set(key, self.clock.now + after)
        self.deadlines[key] = self.clock.now + after

    @rule(key=keys, after=durations, times=st.integers(2, 300))
    def set_over_and_over(self, key: str, after: float, times: int) -> None:
        for number in range(times):
            self.set(key, after + number / 4)

    @rule(key=keys)
    def discard(self, key: str) -> None:
        self.scheduler.discard(key)
        self.deadlines.pop(key, None)

    @rule()
    def clear(self) -> None:
        self.scheduler.clear()
        self.deadlines.clear()

    @rule(quarters=st.integers(0, 60))
    def time_passes(self, quarters: int) -> None:
        start, end = self.clock.now, self.clock.now + quarters / 4
        self.calls.clear()
        self.clock.advance(quarters / 4)
        expected: dict[float, list[str]] = {}
        for key in sorted(self.deadlines):
            if self.deadlines[key] <= end:
                expected.setdefault(max(start, self.deadlines.pop(key)), []).append(key)
        assert self.calls == sorted(expected.items())

    @invariant()
    def keeps_as_many_keys_and_timers_as_it_must(self) -> None:
        assert len(self.scheduler) == len(self.deadlines)
        assert len(self.clock.pending) == bool(self.deadlines)

    @invariant()
    def timer_is_never_after_the_next_deadline(self) -> None:
        next_at = min(self.deadlines.values(), default=math.inf)
        assert all(timer.when <= next_at for timer in self.clock.pending)

    @invariant()
    def heap_stays_bounded(self) -> None:
        assert len(self.scheduler._heap) <= 2 * len(self.deadlines) + 64


TestAgainstModel = AgainstModel.TestCase
TestAgainstModel.settings = settings(max_examples=30, stateful_step_count=30)
