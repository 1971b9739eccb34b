"""A row that cannot be read is refused by itself, and holds up nobody who is read with it."""

import pytest

from realtime_session import monitor
from realtime_session.models import MonitoredSession
from realtime_session.policy import EndReason, Phase, Policy, evaluate

from .records import T0, record, sid

BAD, GOOD = sid(1), sid(2)
UNREADABLE = {
    "reason": {"end_reason": "bored"},
    "policy": {"warn_before": -1.0},
    "reason and policy": {"end_reason": "bored", "idle_timeout": 0.0},
}


@pytest.fixture(params=UNREADABLE)
def unreadable(request):
    return UNREADABLE[request.param]


@pytest.fixture
def store(database, clock, unreadable):
    store = database.make(clock)
    for number in (1, 2):
        store.open(record(number, session_key=f"key {number}"))
    MonitoredSession.objects.using(database.alias).filter(sid=BAD).update(**unreadable)
    return store


def is_refused(found: object, now: float = T0) -> bool:
    status = evaluate(found, now)
    return (status.phase, status.reason) == (Phase.ENDED, EndReason.UNKNOWN)


def test_a_look_finds_it_ended_and_says_so(store, caplog):
    _, found = store.get([BAD, GOOD])
    assert is_refused(found[BAD])
    (said,) = caplog.messages
    assert said.startswith(f"The record of {BAD[:8]}… is refused: ")
    assert BAD not in said
    assert found[GOOD] == record(2, session_key="key 2")


@pytest.mark.parametrize("extend", [True, False])
def test_a_touch_counts_for_the_others(store, clock, extend):
    clock.advance(10)
    now, before = store.touch({BAD: 0, GOOD: 0}, extend)
    assert is_refused(before[BAD], now)
    assert store.get([GOOD])[1][GOOD].last_activity_at == T0 + 10


def test_lists_have_the_others(store):
    assert GOOD in [each.sid for each in store.all()]
    assert GOOD in [each.sid for each in store.for_user("1")[1]]


def test_its_limits_and_tabs_change_nothing(store):
    assert not store.set_policy(BAD, Policy())
    store.join(BAD, "process", 30)
    store.leave(BAD, "process")
    assert is_refused(store.get([BAD])[1][BAD])


def test_a_sweep_ends_it_and_the_others(store, clock, monkeypatch):
    monkeypatch.setattr(monitor, "get_store", lambda: store)
    settled = []
    monkeypatch.setattr(monitor, "settle", settled.extend)
    clock.advance(101)
    assert monitor.sweep(3600) == 1
    assert [each.sid for each in settled] == [GOOD]
    clock.advance(monitor.SETTLE_AFTER + 1)
    monitor.sweep(3600)
    left = settled[1:]
    assert {each.sid for each in left} == {BAD, GOOD}
    assert {each.session_key for each in left} == {"key 1", "key 2"}
    assert store.overdue(10) == []


def test_it_can_be_ended_with_a_reason_of_its_own(store):
    ended = store.end(BAD, EndReason.REVOKED)
    assert ended is not None
    assert ended.end_reason is EndReason.REVOKED
    assert store.get([BAD])[1][BAD].ended_at == ended.ended_at
