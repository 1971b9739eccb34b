"""``lua/policy.lua`` and the scripts against ``policy``, on any numbers, to the last bit."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from realtime_session.policy import EndReason, Phase, Policy, Record, evaluate, touched
from realtime_session.stores.redis import RedisStore
from tests.redis_server import redis_server

from .records import T0, Clock, sid

PROCESS = "process"
patient = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
durations = st.floats(0.001, 1e6)
# Deadlines that coincide, and instants next to them, are where the two could part.
instants = st.floats(T0 - 1e4, T0 + 1e4) | st.integers(-200, 200).map(lambda step: T0 + step / 4)


@st.composite
def policies(draw) -> Policy:
    warn_before = draw(durations | st.sampled_from([0.25, 3.0, 4.5]))
    longer = st.floats(1.0001, 1000).map(lambda factor: warn_before * factor)
    return Policy(
        idle_timeout=draw(longer | st.just(warn_before + 5)),
        warn_before=warn_before,
        absolute_timeout=draw(st.none() | longer | st.just(warn_before + 5)),
        tab_close_grace=draw(st.none() | durations | st.just(5.0)),
        activity_extends_in_warning=draw(st.booleans()),
    )


@st.composite
def records(draw) -> Record:
    return Record(
        sid=sid(),
        user_id="1",
        started_at=draw(instants),
        last_activity_at=draw(instants),
        policy=draw(policies()),
        idle_cap=draw(st.none() | durations | st.sampled_from([0.0, 0.25, 5.0])),
        fixed_end_at=draw(st.none() | instants),
        joined_at=draw(instants | st.just(0.0)),
        paged_at=draw(instants | st.just(0.0)),
        closing_at=draw(st.none() | instants),
    )


@st.composite
def cases(draw) -> tuple[Record, float]:
    """A record, and an instant that is often one of its own."""
    record = draw(records())
    own = [record.idle_end_at, record.expires_at, record.deadline_at, record.last_activity_at]
    own += [record.expires_at - record.warn_limit, record.closing_at or T0]
    return record, draw(instants | st.sampled_from(own))


class Keeper:
    """A store whose time is told, and that forgets."""

    def __init__(self, url: str) -> None:
        self.clock = Clock()
        self.store = RedisStore(url, clock=self.clock)

    def keep(self, record: Record, now: float) -> RedisStore:
        self.clock.now = now
        self.store.end(record.sid, EndReason.LOGOUT)
        self.store.finish([record.sid])
        self.store.leave(record.sid, PROCESS)
        self.store.purge(-1e9)
        assert self.store.open(record) == record
        return self.store

    @property
    def kept(self) -> Record:
        return self.store.get([sid()])[1][sid()]


@pytest.fixture(scope="module")
def keeper() -> Iterator[Keeper]:
    with redis_server() as server:
        yield Keeper(server.url)


@patient
@given(cases())
def test_what_is_due_is_what_the_policy_calls_ended(keeper, case):
    record, now = case
    store = keeper.keep(record, now)
    status = evaluate(record, now)
    assert store.overdue(1) == ([sid()] if record.deadline_at <= now else [])
    ended = {each.sid: each.end_reason for each in store.end_due([sid()])}
    assert ended == ({sid(): status.reason} if status.phase is Phase.ENDED else {})


@patient
@given(cases(), st.booleans(), st.booleans(), durations | st.just(0.0))
@example((Record(sid(), "1", T0, T0, idle_cap=0.0), T0 + 1), False, False, 0.0)
def test_touch_does_what_the_policy_says(keeper, case, extend, page, age):
    record, at = case
    now = at + age
    store = keeper.keep(record, now)
    told, before = store.touch({sid(): age}, extend, page)
    assert (told, before) == (now, {sid(): record})
    assert keeper.kept == touched(record, now - age, extend=extend, page=page)


@patient
@given(cases())
def test_join_and_leave_do_what_the_record_says(keeper, case):
    record, now = case
    store = keeper.keep(record, now)
    lives = evaluate(record, now).phase is not Phase.ENDED
    store.join(sid(), PROCESS, 30)
    joined = record.joined(now) if lives else record
    assert keeper.kept == joined
    store.touch({sid(): -1.0}, page=True)
    paged = touched(joined, now + 1.0, page=True)
    assert keeper.kept == paged
    store.leave(sid(), PROCESS)
    assert keeper.kept == (paged.left(now) if lives else paged)


@patient
@given(cases(), st.integers(1, 3))
def test_lapsed_lease_does_what_the_record_says(keeper, case, processes):
    record, now = case
    store = keeper.keep(record, now)
    for number in range(processes):
        store.join(sid(), f"{number}", 30 + number)
    joined = keeper.kept
    lives = evaluate(record, now).phase is not Phase.ENDED
    for number in range(processes):
        assert keeper.kept == joined
        keeper.clock.now = now + 30 + number
        store.close_lapsed()
    assert keeper.kept == (joined.left(keeper.clock.now) if lives else joined)


@patient
@given(cases(), policies(), st.none() | durations, st.none() | durations)
def test_index_of_deadlines_follows_every_change(keeper, case, policy, idle_cap, fixed_end_in):
    record, now = case
    store = keeper.keep(record, now)
    for change in (
        lambda: store.set_policy(sid(), policy),
        lambda: store.set_expiry(sid(), idle_cap, fixed_end_in),
    ):
        change()
        assert store.overdue(1) == ([sid()] if keeper.kept.deadline_at <= now else [])
    assert keeper.kept.policy == policy
    assert keeper.kept.fixed_end_at == (None if fixed_end_in is None else now + fixed_end_in)


@patient
@given(records(), instants, instants)
def test_instants_are_shifted_as_the_record_shifts_them(keeper, record, now, as_of):
    keeper.keep(record, now)
    assert keeper.store.open(record, as_of) == record.shifted(now - as_of)
