import threading

import pytest
from msgspec.structs import replace

from realtime_session import bus, looks
from realtime_session.looks import Looks, window
from realtime_session.policy import EndReason, Policy, Record

T0 = 1_000_000.0
JUST = 0.001


class Clock:
    now = 50.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def seen(clock):
    return Looks(clock)


def record(sid="a", idle_timeout=100, warn_before=20, **facts):
    return Record(sid, "1", T0, T0, Policy(idle_timeout, warn_before), **facts)


@pytest.mark.parametrize(
    ("idle_timeout", "seconds"), [(10, 0.5), (20 - JUST, 1 - JUST / 20), (20, 1), (900, 1)]
)
def test_window_is_a_twentieth_of_the_timeout_and_a_second_at_most(idle_timeout, seconds):
    assert window(record(idle_timeout=idle_timeout, warn_before=1)) == pytest.approx(seconds)


def test_look_is_recalled_as_it_was_remembered(seen, clock):
    seen.remember("cookie", record(), T0, counted=True)
    look = seen.recall("cookie")
    assert (look.record, look.now, look.counted) == (record(), T0, True)
    assert look.taken_at == clock.now


@pytest.mark.parametrize(
    ("age", "holds"), [(0, True), (1 - JUST, True), (1, False), (1 + JUST, False)]
)
def test_look_holds_for_the_window(seen, clock, age, holds):
    seen.remember("cookie", record(), T0, counted=True)
    clock.now += age
    assert (seen.recall("cookie") is not None) is holds
    assert len(seen) == holds


def test_unknown_cookie_is_not_recalled(seen):
    assert seen.recall("cookie") is None
    assert seen.recall("") is None


@pytest.mark.parametrize(
    ("seen_at", "age", "holds"),
    [
        (T0 + 79.5, 0.5 - JUST, True),
        (T0 + 79.5, 0.5, False),
        (T0 + 80, 0, False),
        (T0 + 99.9, 0, False),
        (T0 + 100, 0, False),
    ],
)
def test_look_holds_only_while_the_session_is_active_by_the_clock(seen, clock, seen_at, age, holds):
    seen.remember("cookie", record(), seen_at, counted=True)
    clock.now += age
    assert (seen.recall("cookie") is not None) is holds


def test_ended_session_is_never_recalled(seen):
    seen.remember("cookie", record(ended_at=T0, end_reason=EndReason.LOGOUT), T0, counted=True)
    assert seen.recall("cookie") is None


def test_next_look_replaces_the_last(seen, clock):
    seen.remember("cookie", record(), T0, counted=False)
    clock.now += 0.9
    seen.remember("cookie", record(), T0 + 0.9, counted=True)
    clock.now += 0.9
    assert seen.recall("cookie").counted
    assert len(seen) == 1


def test_new_cookie_of_a_session_replaces_the_old_one(seen):
    seen.remember("old", record(), T0, counted=True)
    seen.remember("new", record(), T0, counted=True)
    assert seen.recall("old") is None
    assert seen.recall("new") is not None
    seen.forget(["a"])
    assert len(seen) == 0


def test_cookie_that_changes_its_session_is_forgotten_with_the_new_one(seen):
    seen.remember("cookie", record("a"), T0, counted=True)
    seen.remember("cookie", record("b"), T0, counted=True)
    seen.forget(["a"])
    assert seen.recall("cookie").record.sid == "b"
    seen.forget(["b"])
    assert seen.recall("cookie") is None
    assert len(seen) == len(seen._cookies) == 0


def test_forgetting_drops_these_sessions_and_no_others(seen):
    for sid in "abc":
        seen.remember(f"cookie-{sid}", record(sid), T0, counted=True)
    seen.forget(["a", "c", "unknown"])
    assert seen.recall("cookie-a") is None
    assert seen.recall("cookie-b") is not None
    assert len(seen) == 1


def test_memory_is_bounded_and_the_oldest_go_first(seen, monkeypatch):
    monkeypatch.setattr(looks, "MAX_LOOKS", 3)
    for sid in "abcde":
        seen.remember(f"cookie-{sid}", record(sid), T0, counted=True)
    assert len(seen) == len(seen._cookies) == 3
    assert seen.recall("cookie-b") is None
    assert seen.recall("cookie-c") is not None


def test_nudge_in_this_process_drops_what_is_remembered():
    looks.looks.remember("cookie", record("test-sid"), T0, counted=True)
    assert looks.looks.recall("cookie") is not None
    bus.tell_this_process(["test-sid"])
    assert looks.looks.recall("cookie") is None


def test_many_threads_may_look_at_once(seen, monkeypatch):
    monkeypatch.setattr(looks, "MAX_LOOKS", 10)
    errors = []

    def work(name):
        try:
            for number in range(200):
                sid = f"{name}-{number % 7}"
                seen.remember(f"cookie-{sid}", replace(record(), sid=sid), T0, counted=True)
                seen.recall(f"cookie-{sid}")
                seen.forget([f"{name}-{number % 3}"])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(seen) == len(seen._cookies) <= 10
