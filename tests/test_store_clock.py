"""The store's clock as a process knows it."""

import logging

import pytest

from realtime_session.store_clock import CLOCK_STEP, StoreClock

T0 = 1_000_000.0
JUST = 0.001


class World:
    """A store's clock and a loop's; the store's may be set."""

    def __init__(self):
        self.loop = 50.0
        self.store = T0
        self.steps = 0
        self.clock = StoreClock(lambda: self.loop, self._stepped)

    def _stepped(self):
        self.steps += 1

    def passes(self, seconds):
        self.loop += seconds
        self.store += seconds

    def asks(self, before=0.0, after=0.0):
        """Ask the store; it looks at its clock so long after the question and before the answer."""
        asked_at = self.loop
        self.passes(before)
        now = self.store
        self.passes(after)
        self.clock.heard(now, asked_at)


@pytest.fixture
def world():
    return World()


def test_clock_is_the_processs_until_the_store_has_said_more(world):
    assert world.clock.now() > T0
    world.asks()
    assert world.clock.now() == T0
    world.passes(10)
    assert world.clock.now() == world.store


def test_instants_are_told_in_the_loops_time_and_never_too_late(world):
    world.asks(before=1, after=1)
    exact = 50.0 + 100
    assert exact - 2 <= world.clock.loop_time(T0 + 100) <= exact


def test_first_answer_is_no_step_however_far_away_the_store_is(world, caplog):
    world.asks()
    assert world.steps == 0
    assert not caplog.records


@pytest.mark.parametrize("step", [5, -5, 3600, -3600])
def test_clock_that_was_set_is_logged_once_with_its_step(world, caplog, step):
    world.asks()
    world.passes(3)
    world.store += step
    for _ in range(3):
        world.asks()
        world.passes(1)
    assert world.steps == 1
    (log,) = caplog.records
    assert log.levelno == logging.WARNING
    assert f"jumped by {step:+.1f} s" in log.getMessage()
    assert world.clock.now() == world.store


def test_each_step_is_logged(world, caplog):
    world.asks()
    for step in (5, -5):
        world.store += step
        world.asks()
    assert world.steps == len(caplog.records) == 2


@pytest.mark.parametrize("sign", [1, -1])
def test_what_a_clock_is_corrected_by_is_no_step(world, caplog, sign):
    world.asks()
    world.store += sign * (CLOCK_STEP - JUST)
    world.asks()
    world.store += sign * (CLOCK_STEP + JUST)
    world.asks()
    assert world.steps == len(caplog.records) == 1


@pytest.mark.parametrize(("before", "after"), [(30, 0), (0, 30), (15, 15)])
def test_slow_answer_is_no_step(world, before, after):
    world.asks()
    world.asks(before, after)
    world.asks()
    world.asks(after, before)
    assert world.steps == 0


def test_step_is_seen_through_a_slow_answer(world):
    world.asks()
    world.store += 3600
    world.asks(before=10, after=10)
    assert world.steps == 1
