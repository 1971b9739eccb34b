"""Every store against a model: a dictionary of records, and what the policy says of them."""

from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from realtime_session.policy import EndReason, Phase, Policy, Record, evaluate, touched

from .backends import Backend
from .records import Clock, record, sid

POLICIES = [
    Policy(idle_timeout=10, warn_before=3),
    Policy(idle_timeout=10, warn_before=3, activity_extends_in_warning=True),
    Policy(idle_timeout=10, warn_before=3, absolute_timeout=15),
    Policy(idle_timeout=5, warn_before=4.5, absolute_timeout=5),
]
KEYS = ["", "k1", "k2"]
numbers = st.integers(0, 3)
# Quarters are exact in every database, and often the same.
quarters = st.integers(0, 24).map(lambda count: count / 4)


class AgainstModel(RuleBasedStateMachine):
    backend: ClassVar[Backend]

    @initialize()
    def begin(self) -> None:
        self.clock = Clock()
        self.store = self.backend.make(self.clock)
        self.records: dict[str, Record] = {}
        self.claimed_at: dict[str, float] = {}

    @property
    def now(self) -> float:
        return self.clock.now

    @property
    def live(self) -> list[Record]:
        return [each for each in self.records.values() if each.ended_at is None]

    @property
    def ended(self) -> list[Record]:
        return [each for each in self.records.values() if each.ended_at is not None]

    @rule(seconds=quarters)
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(
        number=numbers,
        user_id=st.sampled_from("12"),
        policy=st.sampled_from(POLICIES),
        fixed_end_in=st.none() | quarters,
        key=st.sampled_from(KEYS),
    )
    def open(self, number, user_id, policy, fixed_end_in, key) -> None:
        draft = record(
            number,
            user_id=user_id,
            policy=policy,
            started_at=0,
            last_activity_at=0,
            fixed_end_at=fixed_end_in,
            session_key=key,
        )
        expected = None
        if (known := self.records.get(sid(number))) is None or known.ended_at is None:
            expected = self.records[sid(number)] = draft.shifted(self.now)
        assert self.store.open(draft, as_of=0) == expected

    @rule(ages=st.dictionaries(numbers.map(sid), quarters), extend=st.booleans())
    def touch(self, ages, extend) -> None:
        before = {key: self.records[key] for key in ages if key in self.records}
        assert self.store.touch(ages, extend) == (self.now, before)
        for key, each in before.items():
            self.records[key] = touched(each, self.now - ages[key], extend=extend)

    @rule(number=numbers, reason=st.sampled_from(EndReason))
    def end(self, number, reason) -> None:
        known = self.records.get(sid(number))
        is_live = known is not None and known.ended_at is None
        expected = self.has_ended(known, reason) if is_live else None
        assert self.store.end(sid(number), reason) == expected

    @rule(sids=st.lists(numbers.map(sid)))
    def end_due(self, sids) -> None:
        judged = [(each, evaluate(each, self.now)) for each in self.live if each.sid in sids]
        expected = [
            self.has_ended(each, status.reason)
            for each, status in judged
            if status.phase is Phase.ENDED
        ]
        assert by_sid(self.store.end_due(sids)) == by_sid(expected)

    def has_ended(self, each: Record, reason: EndReason) -> Record:
        ended = replace(each, ended_at=self.now, end_reason=reason)
        self.records[each.sid] = ended
        self.claimed_at[each.sid] = self.now
        return ended

    @rule(number=numbers, key=st.sampled_from(KEYS), cookie_age=quarters)
    def bind(self, number, key, cookie_age) -> None:
        self.store.bind(sid(number), key, cookie_age)
        known = self.records.get(sid(number))
        if known is not None and known.ended_at is None:
            self.records[sid(number)] = replace(
                known, session_key=key, cookie_age=cookie_age, saved_at=self.now
            )

    @rule(number=numbers, idle_cap=st.none() | quarters, fixed_end_in=st.none() | quarters)
    def set_expiry(self, number, idle_cap, fixed_end_in) -> None:
        self.store.set_expiry(sid(number), idle_cap, fixed_end_in)
        known = self.records.get(sid(number))
        if known is not None and known.ended_at is None:
            fixed_end_at = None if fixed_end_in is None else self.now + fixed_end_in
            self.records[sid(number)] = replace(known, idle_cap=idle_cap, fixed_end_at=fixed_end_at)

    @rule(number=numbers, policy=st.sampled_from(POLICIES))
    def set_policy(self, number, policy) -> None:
        known = self.records.get(sid(number))
        is_live = known is not None and known.ended_at is None
        assert self.store.set_policy(sid(number), policy) is is_live
        if is_live:
            self.records[sid(number)] = replace(known, policy=policy)

    @rule(sids=st.lists(numbers.map(sid)))
    def finish(self, sids) -> None:
        self.store.finish(sids)
        for each in self.ended:
            if each.sid in sids:
                self.records[each.sid] = replace(each, finished=True)

    @rule(age=quarters)
    def purge(self, age) -> None:
        old = [e.sid for e in self.ended if e.finished and e.ended_at <= self.now - age]
        assert self.store.purge(age) == len(old)
        for key in old:
            del self.records[key]

    @rule(limit=st.integers(1, 5))
    def overdue(self, limit) -> None:
        expected = {each.sid for each in self.live if each.deadline_at <= self.now}
        found = self.store.overdue(limit)
        assert len(found) == len(set(found)) <= limit
        assert set(found) <= expected
        assert found or not expected

    @rule(age=quarters, limit=st.integers(1, 5))
    def claim_unfinished(self, age, limit) -> None:
        lapsed = [
            each
            for each in self.ended
            if not each.finished and self.claimed_at[each.sid] <= self.now - age
        ]
        claimed = self.store.claim_unfinished(age, limit)
        assert len(by_sid(claimed)) == len(claimed) == min(limit, len(lapsed))
        assert all(each in lapsed for each in claimed)
        self.claimed_at |= dict.fromkeys(by_sid(claimed), self.now)

    @rule(key=st.sampled_from(KEYS))
    def find_ended(self, key) -> None:
        known = [each for each in self.ended if each.session_key == key != ""]
        found = self.store.find_ended(key)
        if known:
            assert found in known
            assert found.ended_at == max(each.ended_at for each in known)
        else:
            assert found is None

    @rule(user_id=st.sampled_from("12"))
    def for_user(self, user_id) -> None:
        now, found = self.store.for_user(user_id)
        assert now == self.now
        assert {each.sid: each for each in found} == {
            each.sid: each for each in self.live if each.user_id == user_id
        }
        assert [e.started_at for e in found] == sorted((e.started_at for e in found), reverse=True)

    @rule(after=st.just("") | numbers.map(sid), limit=st.integers(1, 5))
    def all(self, after, limit) -> None:
        later = sorted(key for key in self.records if key > after)
        assert self.store.all(after, limit) == [self.records[key] for key in later[:limit]]

    @invariant()
    def keeps_what_the_model_keeps(self) -> None:
        assert self.store.get([sid(n) for n in range(5)]) == (self.now, self.records)


def by_sid(records: list[Record]) -> dict[str, Record]:
    return {each.sid: each for each in records}


def test_store_tells_the_same_story_as_the_model(backend):
    machine = type("Machine", (AgainstModel,), {"backend": backend})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12 if backend.alias else 25,
            stateful_step_count=30,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
