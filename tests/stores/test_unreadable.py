"""A record that cannot be read is refused by itself, and holds up nobody who is read with it."""

import math
import struct

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_session import monitor
from realtime_session.models import MonitoredSession
from realtime_session.policy import EndReason, Phase, Policy, evaluate
from realtime_session.stores.redis.records import LAYOUT, NUMBERS, TEXTS

from .conftest import DATABASES
from .records import JUST, T0, record, sid

BAD, GOOD = sid(1), sid(2)
CLOSING = Policy(idle_timeout=100, warn_before=20, tab_close_grace=10)


def row(**columns):
    """Somebody writes into the table."""

    def spoil(backend, store):
        MonitoredSession.objects.using(backend.alias).filter(sid=BAD).update(**columns)

    return spoil


def value(change):
    """Somebody writes to the key."""

    def spoil(backend, store):
        with redis.Redis.from_url(backend.options["url"]) as client:
            key = store._data.session(BAD)
            client.set(key, change(client.get(key)))

    return spoil


def facts(**changes):
    """Somebody writes a value of the right layout."""

    def change(old):
        numbers = dict(zip(NUMBERS, struct.unpack_from(f">{len(NUMBERS)}d", old), strict=True))
        texts = dict(zip(TEXTS, msgspec.msgpack.decode(old[8 * len(NUMBERS) + 1 :]), strict=True))
        for name, fact in changes.items():
            (numbers if name in numbers else texts)[name] = fact
        head = struct.pack(f">{len(NUMBERS)}d", *numbers.values())
        return head + bytes([LAYOUT]) + msgspec.msgpack.encode(list(texts.values()))

    return value(change)


def beside_numbers(rest):
    return value(lambda old: old[: 8 * len(NUMBERS)] + rest)


ROWS = {
    "reason": row(end_reason="bored"),
    "policy": row(warn_before=-1.0),
    "reason and policy": row(end_reason="bored", idle_timeout=0.0),
}
FACTS = {
    "reason": facts(end_reason="bored"),
    "policy": facts(warn_before=-1.0),
    "reason and policy": facts(end_reason="bored", idle_timeout=0.0),
}
GARBAGE = {
    "no instant": facts(started_at=math.inf),
    "no number": facts(last_activity_at=math.nan),
    "nothing": value(lambda old: b""),
    "a word": value(lambda old: b"garbage"),
    "too short": value(lambda old: old[:-60]),
    "another layout": beside_numbers(bytes([LAYOUT + 1]) + msgspec.msgpack.encode([""] * 9)),
    "more numbers": value(lambda old: old[:8] + old),
    "fewer texts": beside_numbers(bytes([LAYOUT]) + msgspec.msgpack.encode(["1"])),
    "no texts": beside_numbers(bytes([LAYOUT]) + msgspec.msgpack.encode([1] * len(TEXTS))),
    "garbage for texts": beside_numbers(bytes([LAYOUT]) + b"\xc1\xff"),
}
KEEPING_FACTS = [(name, kind) for name in DATABASES for kind in ROWS] + [
    ("redis", kind) for kind in FACTS
]
ALL = KEEPING_FACTS + [("redis", kind) for kind in GARBAGE]


def spoiler(name, kind):
    return ROWS[kind] if name in DATABASES else (FACTS | GARBAGE)[kind]


@pytest.fixture
def make(start, clock, django_db_blocker, request):
    """Makes a store with two live sessions, of which the first cannot be read."""
    name, kind = request.param
    with django_db_blocker.unblock():
        backend = start(name)
        store = backend.make(clock)
        for number in (1, 2):
            store.open(record(number, session_key=f"key {number}"))
        yield lambda: (spoiler(name, kind)(backend, store), store)[1]


@pytest.fixture
def store(make):
    return make()


any_way = pytest.mark.parametrize("make", ALL, indirect=True, ids="-".join)


def is_refused(found: object, now: float = T0) -> bool:
    status = evaluate(found, now)
    return (status.phase, status.reason) == (Phase.ENDED, EndReason.UNKNOWN)


@any_way
def test_a_look_finds_it_ended_and_says_so(store, caplog):
    _, found = store.get([BAD, GOOD])
    assert is_refused(found[BAD])
    (said,) = caplog.messages
    assert said.startswith(f"The record of {BAD[:8]}… is refused: ")
    assert BAD not in said
    assert "key 1" not in said
    assert found[GOOD] == record(2, session_key="key 2")


@any_way
@pytest.mark.parametrize("extend", [True, False])
def test_a_touch_counts_for_the_others(store, clock, extend):
    clock.advance(10)
    now, before = store.touch({BAD: 0, GOOD: 0}, extend)
    assert is_refused(before[BAD], now)
    assert store.get([GOOD])[1][GOOD].last_activity_at == T0 + 10


@any_way
def test_lists_have_the_others(store):
    assert GOOD in [each.sid for each in store.all()]
    assert [each.sid for each in store.for_user("1")[1]] == [GOOD]


@pytest.mark.parametrize(
    "make",
    # In Redis, another policy is how to mend one that nobody can follow.
    [(name, kind) for name, kind in ALL if name in DATABASES or kind in GARBAGE],
    indirect=True,
    ids="-".join,
)
def test_its_limits_change_nothing(store):
    store.set_policy(BAD, Policy())
    store.set_expiry(BAD, 50, None)
    assert is_refused(store.get([BAD])[1][BAD])


@any_way
def test_its_tabs_change_nothing(store):
    store.join(BAD, "process", 30)
    store.leave(BAD, "process")
    assert is_refused(store.get([BAD])[1][BAD])


def swept(store, clock, monkeypatch):
    """What two sweeps settle, the second one when the claims of the first have lapsed."""
    monkeypatch.setattr(monitor, "get_store", lambda: store)
    settled = []
    monkeypatch.setattr(monitor, "settle", settled.extend)
    clock.advance(101)
    monitor.sweep(3600)
    assert GOOD in [each.sid for each in settled]
    settled.clear()
    clock.advance(monitor.SETTLE_AFTER + 1)
    monitor.sweep(3600)
    assert store.overdue(10) == []
    return settled


@any_way
def test_a_sweep_ends_it_and_the_others(store, clock, monkeypatch):
    left = swept(store, clock, monkeypatch)
    assert {each.sid for each in left} == {BAD, GOOD}
    assert all(each.ended_at is not None and each.end_reason is not None for each in left)
    store.finish([BAD, GOOD])
    assert store.claim_unfinished(0, 10) == []
    assert store.purge(0) == 2
    assert store.all() == []


@pytest.mark.parametrize("make", KEEPING_FACTS, indirect=True, ids="-".join)
def test_a_sweep_finds_the_django_session_where_that_can_be_read(store, clock, monkeypatch):
    left = swept(store, clock, monkeypatch)
    assert {each.session_key for each in left} == {"key 1", "key 2"}


@any_way
def test_it_can_be_ended_with_a_reason_of_its_own(store):
    ended = store.end(BAD, EndReason.REVOKED)
    assert ended is not None
    assert ended.end_reason is EndReason.REVOKED
    assert store.get([BAD])[1][BAD].ended_at == ended.ended_at
    assert store.end(BAD, EndReason.LOGOUT) is None


@pytest.mark.parametrize("make", [("redis", kind) for kind in GARBAGE], indirect=True, ids=repr)
def test_what_ended_and_cannot_be_read_any_more_is_settled(store, make, clock):
    store.end(BAD, EndReason.LOGOUT)
    store.end(GOOD, EndReason.LOGOUT)
    make()
    clock.advance(10)
    claimed = {each.sid: each for each in store.claim_unfinished(5, 10)}
    assert claimed.keys() == {BAD, GOOD}
    assert claimed[GOOD].end_reason is EndReason.LOGOUT
    assert claimed[BAD].end_reason in (EndReason.LOGOUT, EndReason.UNKNOWN)


@pytest.mark.parametrize("make", [("redis", "a word")], indirect=True)
def test_what_cannot_be_read_is_not_opened_again(store):
    # It may have ended.
    assert store.open(record(1)) is None
    assert is_refused(store.get([BAD])[1][BAD])


@pytest.fixture(scope="module")
def server(start):
    return start("redis")


doubles = st.floats() | st.floats(T0 - 200, T0 + 200)
values = st.binary(max_size=400) | st.builds(
    lambda numbers, rest: struct.pack(f">{len(NUMBERS)}d", *numbers) + bytes([LAYOUT]) + rest,
    st.lists(doubles, min_size=len(NUMBERS), max_size=len(NUMBERS)),
    st.binary(max_size=40)
    | st.lists(st.text(max_size=3), max_size=12).map(msgspec.msgpack.encode)
    | st.just(msgspec.msgpack.encode([""] * len(TEXTS))),
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values, st.none() | st.binary(max_size=12), st.booleans())
def test_no_value_at_all_fails_a_call(server, clock, garbage, lease, has_ended):
    clock.now = T0
    store = server.make(clock)
    for number in (1, 2):
        store.open(record(number, policy=CLOSING))
        store.join(sid(number), "process", 30)
    if has_ended:
        store.end(BAD, EndReason.LOGOUT)
    with redis.Redis.from_url(server.options["url"]) as client:
        client.set(store._data.session(BAD), garbage)
        if lease is not None:
            client.hset(store._data.tabs(BAD), "process", lease)
    store.touch({BAD: 0, GOOD: -JUST}, page=True)
    assert evaluate(store.get([BAD, GOOD])[1][GOOD], T0).phase is Phase.ACTIVE
    store.all()
    store.for_user("1")
    store.bind(BAD, "key", 10)
    store.set_policy(BAD, CLOSING)
    store.join(BAD, "process", 30)
    store.renew([BAD, GOOD], "process", 30)
    store.overdue(10)
    clock.advance(31)
    store.close_lapsed()
    clock.advance(200)
    store.end_due(store.overdue(10))
    assert store.overdue(10) == []
    clock.advance(10)
    claimed = [each.sid for each in store.claim_unfinished(5, 10)]
    assert GOOD in claimed
    store.finish([BAD, GOOD])
    store.purge(0)
    assert store.get([GOOD])[1] == {}
