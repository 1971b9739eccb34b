"""What ``stores/base.py`` promises, held against every store."""

import inspect
import math
import time

import pytest
from msgspec.structs import replace

from realtime_session.policy import EndReason, Policy, evaluate, touched
from realtime_session.stores.base import BaseStore

from .records import JUST, T0, record, sid

LIMITED = Policy(idle_timeout=100, warn_before=20, absolute_timeout=150)
BUSY = Policy(idle_timeout=100, warn_before=20, activity_extends_in_warning=True)
FULL = record(
    1,
    user_id="3fa85f64-5717-4562-b3fc-2c963f66afa6",
    started_at=T0 - 5.5,
    last_activity_at=T0 - 0.25,
    policy=Policy(120.5, 60.25, 3600.75, 15.5, True),
    session_key="k" * 40,
    credentials="h" * 64 + ":django.contrib.auth.backends.ModelBackend",
    idle_cap=90.5,
    fixed_end_at=T0 + 7200,
    joined_at=T0 - 3,
    paged_at=T0 - 2,
    closing_at=T0 + 12,
    saved_at=T0 - 1,
    cookie_age=1_209_600.0,
    ip_address="2001:db8:85a3::8a2e:370:7334",
    user_agent="Mozilla/5.0 (Ünïx; ⏳)",
)


def only(store, number=0):
    """What the store keeps of one session."""
    return store.get([sid(number)])[1].get(sid(number))


class TestOpen:
    def test_every_fact_is_kept(self, store):
        assert store.open(FULL) == FULL
        assert only(store, 1) == FULL

    def test_example_of_the_test_above_leaves_no_fact_at_its_default(self):
        ended = {"ended_at", "end_reason", "finished"}
        plain = record()
        same = {n for n in FULL.__struct_fields__ if getattr(FULL, n) == getattr(plain, n)}
        assert same == ended

    def test_instants_are_shifted_to_the_clock_of_the_store(self, store, clock):
        draft = record(started_at=-30, last_activity_at=-10, fixed_end_at=500, saved_at=-30)
        opened = store.open(draft, as_of=0)
        assert opened == draft.shifted(clock.now)
        assert only(store) == opened

    def test_instants_of_another_clock_are_shifted_by_the_difference(self, store, clock):
        draft = record(started_at=990, last_activity_at=995, saved_at=990)
        assert store.open(draft, as_of=1000) == draft.shifted(clock.now - 1000)

    def test_live_session_is_restarted(self, store, clock):
        store.open(record(policy=LIMITED, session_key="old"))
        clock.advance(50)
        again = record(
            user_id="2", started_at=clock.now, last_activity_at=clock.now, session_key="new"
        )
        assert store.open(again) == again
        assert only(store) == again

    def test_overdue_session_that_nobody_ended_is_restarted(self, store, clock):
        store.open(record())
        clock.advance(200)
        assert store.open(record(), as_of=T0).last_activity_at == clock.now
        assert store.overdue(10) == []

    def test_ended_session_is_never_revived(self, store, clock):
        store.open(record())
        ended = store.end(sid(), EndReason.LOGOUT)
        clock.advance(5)
        assert store.open(record(user_id="2"), as_of=T0) is None
        assert only(store) == ended

    @pytest.mark.parametrize("is_ended", [False, True])
    def test_what_is_known_is_left_as_it_is_where_only_the_missing_is_to_be_opened(
        self, store, clock, is_ended
    ):
        assert store.open(record(), only_missing=True) == record()
        if is_ended:
            store.end(sid(), EndReason.LOGOUT)
        known = only(store)
        clock.advance(5)
        assert store.open(record(user_id="2"), as_of=T0, only_missing=True) is None
        assert only(store) == known

    def test_other_sessions_are_left_alone(self, store):
        store.open(record(1))
        store.open(record(2, user_id="2"))
        assert only(store, 1) == record(1)

    def test_overlong_texts_of_clients_do_no_harm(self, store):
        opened = store.open(record(user_agent="⏳" * 5000, ip_address="f" * 5000))
        assert opened == only(store)
        assert opened.user_agent.startswith("⏳" * 200)

    def test_nul_in_texts_of_clients_does_no_harm(self, store):
        opened = store.open(record(user_agent="a\0b"))
        assert opened == only(store)


class TestGet:
    def test_unknown_sids_are_left_out(self, store, clock):
        store.open(record(1))
        assert store.get([sid(1), sid(2)]) == (clock.now, {sid(1): record(1)})

    def test_nothing_asked_is_answered_with_the_time(self, store, clock):
        assert store.get([]) == (clock.now, {})

    def test_nothing_found_is_answered_with_the_time(self, store, clock):
        assert store.get([sid(1)]) == (clock.now, {})

    def test_ended_sessions_are_found(self, store):
        store.open(record())
        ended = store.end(sid(), EndReason.REVOKED)
        assert only(store) == ended

    def test_any_iterable_will_do(self, store):
        store.open(record(1))
        assert list(store.get(iter([sid(1), sid(1)]))[1]) == [sid(1)]


class TestTouch:
    def test_answers_the_records_as_they_were(self, store, clock):
        store.open(record())
        clock.advance(30)
        assert store.touch({sid(): 10}) == (clock.now, {sid(): record()})
        assert only(store) == record(last_activity_at=T0 + 20)

    def test_next_answer_has_what_the_last_touch_wrote(self, store, clock):
        store.open(record())
        clock.advance(30)
        store.touch({sid(): 0})
        clock.advance(30)
        assert store.touch({sid(): 0})[1] == {sid(): record(last_activity_at=T0 + 30)}
        assert only(store) == record(last_activity_at=T0 + 60)

    def test_answer_is_as_it_was_although_nothing_changes(self, store, clock):
        # Three in a row: what a store remembers of the last touch must not be mistaken for what was.
        store.open(record())
        clock.advance(10)
        store.touch({sid(): 0})
        for _ in range(2):
            assert store.touch({sid(): 5})[1] == {sid(): record(last_activity_at=T0 + 10)}
        assert only(store) == record(last_activity_at=T0 + 10)

    @pytest.mark.parametrize("extend", [False, True], ids=["activity", "extend"])
    @pytest.mark.parametrize("policy", [LIMITED, BUSY, record().policy], ids=["limit", "busy", ""])
    @pytest.mark.parametrize(
        "at", [-5, 0, JUST, 80 - JUST, 80, 80 + JUST, 100 - JUST, 100, 100 + JUST]
    )
    def test_counts_what_the_policy_counts_and_nothing_else(self, store, clock, policy, at, extend):
        before = record(policy=policy)
        store.open(before)
        clock.advance(120)
        _, answer = store.touch({sid(): 120 - at}, extend)
        assert answer == {sid(): before}
        assert only(store) == touched(before, T0 + at, extend=extend)

    @pytest.mark.parametrize("at", [130 - JUST, 130, 150 - JUST, 150, 150 + JUST])
    @pytest.mark.parametrize("fixed", [False, True])
    def test_heeds_the_absolute_deadline(self, store, clock, at, fixed):
        facts = {"fixed_end_at": T0 + 150} if fixed else {"policy": LIMITED}
        before = record(last_activity_at=T0 + 90, **facts)
        store.open(before)
        clock.advance(160)
        store.touch({sid(): 160 - at})
        assert only(store) == touched(before, T0 + at)
        store.touch({sid(): 160 - at}, extend=True)
        assert only(store) == touched(before, T0 + at, extend=True)

    def test_activity_from_before_the_deadline_counts_after_it(self, store, clock):
        # It was on its way while the deadline passed, and nobody has ended the session yet.
        store.open(record())
        clock.advance(101)
        store.touch({sid(): 30})
        assert only(store).deadline_at == T0 + 171

    def test_ended_session_is_answered_and_not_changed(self, store, clock):
        store.open(record())
        ended = store.end(sid(), EndReason.LOGOUT)
        clock.advance(10)
        assert store.touch({sid(): 0}, extend=True)[1] == {sid(): ended}
        assert only(store) == ended

    def test_unknown_sids_are_left_out(self, store, clock):
        store.open(record(1))
        assert store.touch({sid(1): 0, sid(2): 0}) == (clock.now, {sid(1): record(1)})
        assert only(store, 2) is None

    @pytest.mark.parametrize("ages", [{}, {sid(7): 0}])
    def test_nothing_to_touch_is_answered_with_the_time(self, store, clock, ages):
        assert store.touch(ages) == (clock.now, {})

    def test_each_session_has_its_own_age_in_batches_of_any_size(self, store, clock):
        for number in range(510):
            store.open(record(number))
        clock.advance(70)
        ages = {sid(number): number / 8 for number in range(510)}
        now, before = store.touch(ages)
        assert now == clock.now
        assert before == {sid(number): record(number) for number in range(510)}
        _, after = store.get([*ages, sid(510)])
        assert {key: found.last_activity_at for key, found in after.items()} == {
            key: clock.now - age for key, age in ages.items()
        }

    def test_is_safe_to_repeat(self, store, clock):
        store.open(record())
        clock.advance(30)
        for _ in range(3):
            store.touch({sid(): 10})
        assert only(store) == record(last_activity_at=T0 + 20)


class TestEnd:
    def test_first_caller_gets_the_ended_record_and_later_ones_nothing(self, store, clock):
        store.open(record())
        clock.advance(5)
        ended = store.end(sid(), EndReason.REVOKED)
        assert ended == record(ended_at=T0 + 5, end_reason=EndReason.REVOKED)
        assert only(store) == ended
        clock.advance(5)
        assert store.end(sid(), EndReason.LOGOUT) is None
        assert store.end_due([sid()]) == []
        assert only(store) == ended

    def test_unknown_session_is_ended_by_nobody(self, store):
        assert store.end(sid(), EndReason.LOGOUT) is None
        assert store.end_due([sid()]) == []

    @pytest.mark.parametrize("reason", list(EndReason))
    def test_every_reason_is_kept(self, store, reason):
        store.open(record())
        store.end(sid(), reason)
        assert only(store).end_reason is reason

    def test_given_reason_counts_even_after_the_deadline(self, store, clock):
        store.open(record())
        clock.advance(500)
        assert store.end(sid(), EndReason.LOGOUT).end_reason is EndReason.LOGOUT


class TestEndDue:
    @pytest.mark.parametrize("after", [0, 80, 100 - JUST])
    def test_session_that_is_not_due_goes_on(self, store, clock, after):
        store.open(record())
        clock.advance(after)
        assert store.end_due([sid()]) == []
        assert only(store) == record()

    @pytest.mark.parametrize("after", [100, 100 + JUST, 10_000])
    def test_session_that_is_due_ends_for_being_idle(self, store, clock, after):
        store.open(record())
        clock.advance(after)
        ended = record(ended_at=clock.now, end_reason=EndReason.IDLE)
        assert store.end_due([sid()]) == [ended]
        assert only(store) == ended

    @pytest.mark.parametrize(
        "facts",
        [
            {"policy": LIMITED, "last_activity_at": T0 + 60},
            # Both at the same instant: no activity could have helped.
            {"policy": LIMITED, "last_activity_at": T0 + 50},
            {"fixed_end_at": T0 + 150, "last_activity_at": T0 + 60},
        ],
    )
    def test_session_that_is_due_ends_for_its_absolute_timeout(self, store, clock, facts):
        store.open(record(**facts))
        clock.advance(150 - JUST)
        assert store.end_due([sid()]) == []
        clock.advance(JUST)
        [ended] = store.end_due([sid()])
        assert ended.end_reason is EndReason.ABSOLUTE

    @pytest.mark.parametrize("closing_in", [50, 100, 100 + JUST, 150])
    @pytest.mark.parametrize("late", [-JUST, 0, JUST, 1000])
    @pytest.mark.parametrize("policy", [LIMITED, BUSY])
    def test_reason_is_that_of_the_deadline_that_came_first(
        self, store, clock, closing_in, late, policy
    ):
        facts = record(policy=policy, closing_at=T0 + closing_in)
        store.open(facts)
        clock.now = facts.deadline_at + late
        status = evaluate(facts, clock.now)
        reasons = [each.end_reason for each in store.end_due([sid()])]
        assert reasons == ([] if late < 0 else [status.reason])
        assert late < 0 or status.reason is not EndReason.UNKNOWN

    def test_sums_that_are_not_exact_are_rounded_as_the_policy_rounds_them(self, store, clock):
        facts = {
            n: record(n, last_activity_at=T0 + n / 7, policy=Policy(100 + n / 3, 20))
            for n in range(50)
        }
        for each in facts.values():
            store.open(each)
        for each in facts.values():
            clock.now = math.nextafter(each.deadline_at, 0)
            assert store.end_due([each.sid]) == []
            clock.now = each.deadline_at
            assert [ended.sid for ended in store.end_due([each.sid])] == [each.sid]

    def test_activity_that_came_first_is_heeded(self, store, clock):
        store.open(record())
        clock.advance(70)
        store.touch({sid(): 0})
        clock.advance(70)
        assert store.end_due([sid()]) == []

    def test_of_many_it_ends_and_answers_those_that_are_due(self, store, clock):
        for number in range(510):
            store.open(record(number, last_activity_at=T0 + number % 2))
        store.end(sid(0), EndReason.LOGOUT)
        clock.advance(100)
        ended = store.end_due(sid(number) for number in [*range(520), 2])
        due = {sid(number) for number in range(2, 510, 2)}
        assert len(ended) == len(due)
        assert {each.sid for each in ended} == due
        assert store.get(due)[1] == {each.sid: each for each in ended}
        assert only(store, 1) == record(1, last_activity_at=T0 + 1)
        assert only(store, 0).end_reason is EndReason.LOGOUT

    def test_nothing_asked_ends_nothing(self, store):
        assert store.end_due([]) == []


class TestOverdue:
    def test_finds_what_is_past_its_deadline_and_not_ended(self, store, clock):
        store.open(record(1))
        store.open(record(2, policy=Policy(idle_timeout=50, warn_before=20)))
        store.open(record(3, policy=Policy(idle_timeout=50, warn_before=20)))
        store.end(sid(3), EndReason.LOGOUT)
        for after, expected in ((50 - JUST, []), (50, [sid(2)]), (100, [sid(1), sid(2)])):
            clock.now = T0 + after
            assert sorted(store.overdue(10)) == expected

    def test_heeds_activity(self, store, clock):
        store.open(record())
        clock.advance(70)
        store.touch({sid(): 0})
        clock.now = T0 + 170 - JUST
        assert store.overdue(10) == []
        clock.now = T0 + 170
        assert store.overdue(10) == [sid()]

    def test_heeds_the_absolute_deadline(self, store, clock):
        store.open(record(policy=LIMITED, last_activity_at=T0 + 90))
        clock.advance(150 - JUST)
        assert store.overdue(10) == []
        clock.advance(JUST)
        assert store.overdue(10) == [sid()]

    def test_answers_no_more_than_asked_and_the_rest_later(self, store, clock):
        for number in range(5):
            store.open(record(number))
        clock.advance(100)
        seen = []
        while due := store.overdue(2):
            assert len(due) <= 2
            seen += due
            store.end_due(due)
        assert sorted(seen) == [sid(number) for number in range(5)]

    def test_sessions_that_were_active_do_not_hide_those_that_are_due(self, store, clock):
        for number in range(10):
            store.open(record(number))
        clock.advance(70)
        store.touch({sid(number): 0 for number in range(9)})
        clock.advance(30)
        assert store.overdue(2) == [sid(9)]


class TestWhatFollowsAnEnd:
    @pytest.fixture
    def ended(self, store, clock):
        """Three sessions that ended ten seconds apart, and one that did not."""
        for number in range(4):
            store.open(record(number))
        ended = []
        for number in range(3):
            clock.now = T0 + 10 * number
            ended.append(store.end(sid(number), EndReason.LOGOUT))
        return ended

    def test_unfinished_ends_are_claimed_once_they_are_old_enough(self, store, clock, ended):
        clock.now = T0 + 25
        assert store.claim_unfinished(25 + JUST, 10) == []
        assert store.claim_unfinished(25 - JUST, 10) == ended[:1]
        assert store.claim_unfinished(15 - JUST, 10) == ended[1:2]
        assert store.claim_unfinished(5 - JUST, 10) == ended[2:]

    def test_claim_holds_for_as_long_as_an_end_had_to_be_finished(self, store, clock, ended):
        clock.now = T0 + 120
        assert len(store.claim_unfinished(60, 10)) == 3
        for after, expected in ((0, 0), (60 - JUST, 0), (60, 3), (60, 0), (120, 3)):
            clock.now = T0 + 120 + after
            assert len(store.claim_unfinished(60, 10)) == expected

    def test_no_more_unfinished_ends_than_asked_and_the_rest_later(self, store, clock, ended):
        clock.advance(100)
        claimed = store.claim_unfinished(10, 2)
        assert len(claimed) == 2
        claimed += store.claim_unfinished(10, 2)
        assert sorted(claimed, key=lambda r: r.sid) == ended

    def test_more_than_a_handful_can_be_claimed_and_finished(self, store, clock):
        sids = [sid(number) for number in range(510)]
        for number in range(510):
            store.open(record(number))
        clock.advance(100)
        assert len(store.end_due(sids)) == 510
        clock.advance(100)
        assert {each.sid for each in store.claim_unfinished(60, 1000)} == set(sids)
        store.finish(iter(sids))
        assert all(each.finished for each in store.get(sids)[1].values())

    def test_finished_end_is_not_found_again_and_is_safe_to_repeat(self, store, clock, ended):
        clock.advance(100)
        for _ in range(2):
            store.finish([sid(1)])
        assert only(store, 1) == replace(ended[1], finished=True)
        assert {found.sid for found in store.claim_unfinished(10, 10)} == {sid(0), sid(2)}
        store.finish([sid(0)])
        clock.advance(100)
        assert {found.sid for found in store.claim_unfinished(10, 10)} == {sid(2)}

    def test_only_an_ended_session_can_be_finished(self, store, clock, ended):
        store.finish([sid(3), sid(99), sid(1)])
        assert only(store, 3) == record(3)
        assert only(store, 99) is None
        assert only(store, 1).finished
        clock.advance(500)
        assert store.end_due([sid(3)]) == [only(store, 3)]
        assert not only(store, 3).finished

    def test_nothing_to_finish_is_no_harm(self, store, ended):
        store.finish([])
        assert only(store, 0) == ended[0]

    def test_purge_deletes_old_finished_ends_and_nothing_else(self, store, clock, ended):
        store.finish([sid(0), sid(2)])
        clock.now = T0 + 30
        assert store.purge(30 + JUST) == 0
        assert store.purge(30 - JUST) == 1
        assert [kept.sid for kept in store.all()] == [sid(1), sid(2), sid(3)]
        clock.now = T0 + 10_000
        assert store.purge(30) == 1
        assert [kept.sid for kept in store.all()] == [sid(1), sid(3)]
        assert store.purge(30) == 0


class TestBind:
    def test_notes_key_age_and_time(self, store, clock):
        store.open(record())
        clock.advance(5)
        store.bind(sid(), "key", 60.5)
        assert only(store) == record(session_key="key", cookie_age=60.5, saved_at=T0 + 5)

    def test_notes_credentials_where_there_is_no_key(self, store):
        store.open(record(session_key="key"))
        store.bind(sid(), "", 60, "hash:backend")
        assert (only(store).session_key, only(store).credentials) == ("", "hash:backend")

    def test_is_no_activity(self, store, clock):
        store.open(record())
        clock.advance(5)
        store.bind(sid(), "key", 60)
        assert only(store).last_activity_at == T0

    def test_leaves_an_ended_session_as_it_is(self, store):
        store.open(record(session_key="old"))
        ended = store.end(sid(), EndReason.LOGOUT)
        store.bind(sid(), "new", 60)
        assert only(store) == ended

    def test_makes_no_session_of_an_unknown_one(self, store):
        store.bind(sid(), "key", 60)
        assert only(store) is None


CLOSING = Policy(idle_timeout=100, warn_before=20, tab_close_grace=10)


class TestPresence:
    def closes_at(self, store):
        return only(store).closing_at

    def test_the_last_tab_that_goes_begins_the_grace(self, store, clock):
        store.open(record(policy=CLOSING, joined_at=T0, paged_at=T0))
        store.join(sid(), "one", 30)
        clock.advance(5)
        store.leave(sid(), "one")
        assert self.closes_at(store) == T0 + 15
        clock.advance(10 - JUST)
        assert store.overdue(1) == []
        clock.advance(JUST)
        assert store.overdue(1) == [sid()]
        assert store.end_due([sid()])[0].end_reason == "closed"

    def test_other_processes_tabs_keep_the_session(self, store, clock):
        store.open(record(policy=CLOSING))
        store.join(sid(), "one", 30)
        store.join(sid(), "two", 30)
        store.leave(sid(), "one")
        assert self.closes_at(store) is None
        store.leave(sid(), "two")
        assert self.closes_at(store) == T0 + 10

    def test_a_tab_that_comes_back_ends_the_grace(self, store, clock):
        store.open(record(policy=CLOSING))
        store.join(sid(), "one", 30)
        store.leave(sid(), "one")
        clock.advance(9)
        store.join(sid(), "two", 30)
        assert self.closes_at(store) is None
        assert only(store).joined_at == T0 + 9

    def test_a_tab_that_comes_back_too_late_changes_nothing(self, store, clock):
        store.open(record(policy=CLOSING))
        store.join(sid(), "one", 30)
        store.leave(sid(), "one")
        clock.advance(10)
        store.join(sid(), "one", 30)
        assert self.closes_at(store) == T0 + 10

    def test_a_page_that_was_opened_ends_the_grace(self, store, clock):
        store.open(record(policy=CLOSING))
        store.join(sid(), "one", 30)
        store.leave(sid(), "one")
        clock.advance(9)
        store.touch({sid(): 0}, page=True)
        assert self.closes_at(store) is None
        assert (only(store).paged_at, only(store).last_activity_at) == (T0 + 9, T0 + 9)

    def test_mere_activity_does_not_end_the_grace(self, store, clock):
        store.open(record(policy=CLOSING))
        store.join(sid(), "one", 30)
        store.leave(sid(), "one")
        clock.advance(5)
        store.touch({sid(): 0}, extend=True)
        assert self.closes_at(store) == T0 + 10

    def test_a_page_too_late_changes_nothing(self, store, clock):
        store.open(record(policy=CLOSING))
        store.join(sid(), "one", 30)
        store.leave(sid(), "one")
        clock.advance(10)
        before = only(store)
        store.touch({sid(): 0}, extend=True, page=True)
        assert only(store) == before

    def test_a_page_that_has_not_connected_is_no_closing(self, store, clock):
        store.open(record(policy=CLOSING))
        store.join(sid(), "one", 30)
        clock.advance(5)
        store.touch({sid(): 0}, page=True)
        store.leave(sid(), "one")
        assert self.closes_at(store) is None
        clock.advance(1)
        store.join(sid(), "one", 30)
        store.leave(sid(), "one")
        assert self.closes_at(store) == T0 + 16

    def test_without_a_grace_nothing_closes(self, store):
        store.open(record())
        store.join(sid(), "one", 30)
        store.leave(sid(), "one")
        assert self.closes_at(store) is None

    def test_a_process_that_died_stops_counting(self, store, clock):
        store.open(record(policy=CLOSING))
        store.join(sid(), "one", 30)
        clock.advance(30 - JUST)
        store.close_lapsed()
        assert self.closes_at(store) is None
        clock.advance(JUST)
        store.close_lapsed()
        assert self.closes_at(store) == T0 + 40

    def test_a_process_that_renews_counts_on(self, store, clock):
        store.open(record(policy=CLOSING))
        store.join(sid(), "one", 30)
        clock.advance(20)
        store.renew([sid(), sid(1)], "one", 30)
        clock.advance(29)
        store.close_lapsed()
        assert self.closes_at(store) is None

    def test_leaving_unknown_sessions_does_no_harm(self, store):
        store.leave(sid(), "one")
        store.join(sid(), "one", 30)
        store.close_lapsed()
        assert only(store) is None

    def test_an_ended_session_is_left_as_it_is(self, store):
        store.open(record(policy=CLOSING))
        store.join(sid(), "one", 30)
        ended = store.end(sid(), EndReason.LOGOUT)
        store.leave(sid(), "one")
        store.join(sid(), "one", 30)
        assert only(store) == ended


class TestSetExpiry:
    def test_caps_the_idle_timeout_from_now_on(self, store, clock):
        store.open(record())
        store.set_expiry(sid(), 50, None)
        assert only(store) == record(idle_cap=50)
        clock.advance(30 + JUST)
        store.touch({sid(): 0})
        assert only(store).last_activity_at == T0, "in the warning phase since 30 s"
        clock.advance(20 - JUST)
        assert store.overdue(1) == [sid()]
        assert store.end_due([sid()])[0].end_reason == "idle"

    def test_does_not_lengthen_the_idle_timeout(self, store, clock):
        store.open(record())
        store.set_expiry(sid(), 500, None)
        clock.advance(100)
        assert store.overdue(1) == [sid()]

    def test_leaves_room_to_be_active_where_the_cap_is_shorter_than_the_warning(self, store, clock):
        store.open(record())
        store.set_expiry(sid(), 10, None)
        clock.advance(4)
        store.touch({sid(): 0})
        assert only(store).last_activity_at == T0 + 4

    def test_sets_an_end_that_nothing_moves(self, store, clock):
        store.open(record())
        clock.advance(5)
        store.set_expiry(sid(), None, 60)
        assert only(store) == record(fixed_end_at=T0 + 65)
        clock.advance(59)
        store.touch({sid(): 0}, extend=True)
        clock.advance(1)
        assert store.end_due([sid()])[0].end_reason == "absolute"

    def test_can_be_taken_back(self, store, clock):
        store.open(record())
        store.set_expiry(sid(), 10, 60)
        store.set_expiry(sid(), None, None)
        clock.advance(100 - JUST)
        assert store.overdue(1) == []
        assert only(store) == record()

    def test_leaves_an_ended_session_as_it_is(self, store):
        store.open(record())
        ended = store.end(sid(), EndReason.LOGOUT)
        store.set_expiry(sid(), 10, 60)
        assert only(store) == ended


class TestSetPolicy:
    def test_counts_at_once(self, store, clock):
        store.open(record())
        clock.advance(40)
        shorter = Policy(idle_timeout=40, warn_before=20)
        assert store.set_policy(sid(), shorter) is True
        assert only(store) == record(policy=shorter)
        assert store.overdue(1) == [sid()]

    def test_keeps_what_the_project_set(self, store):
        store.open(record(idle_cap=30))
        store.set_policy(sid(), Policy(idle_timeout=60, warn_before=20))
        assert only(store).idle_limit == 30

    def test_says_where_there_is_no_live_session(self, store):
        assert store.set_policy(sid(), LIMITED) is False
        store.open(record())
        ended = store.end(sid(), EndReason.LOGOUT)
        assert store.set_policy(sid(), LIMITED) is False
        assert only(store) == ended


class TestFindEnded:
    def test_finds_the_ended_session_that_had_the_key_last(self, store):
        store.open(record(1, session_key="one"))
        store.bind(sid(1), "two", 60)
        ended = store.end(sid(1), EndReason.REVOKED)
        assert store.find_ended("two") == ended
        assert store.find_ended("one") is None

    def test_does_not_find_a_live_session(self, store):
        store.open(record(session_key="key"))
        assert store.find_ended("key") is None

    def test_finds_the_latest_of_several(self, store, clock):
        for number in (2, 1, 3):
            store.open(record(number, session_key="key"))
        for number in (1, 3, 2):
            clock.advance(1)
            latest = store.end(sid(number), EndReason.LOGOUT)
        assert store.find_ended("key") == latest

    @pytest.mark.parametrize("key", ["", "nobody", "k" * 5000, "a\0b", "⏳"])
    def test_finds_nothing_for_a_key_that_no_session_had(self, store, key):
        # "" stands for engines that cannot revoke by key; a cookie may hold anything.
        store.open(record(session_key=""))
        store.end(sid(), EndReason.LOGOUT)
        assert store.find_ended(key) is None


class TestLists:
    def test_sessions_of_a_user_are_those_that_were_not_ended_latest_login_first(
        self, store, clock
    ):
        for number, user_id in enumerate(["1", "2", "1", "1", "11"]):
            store.open(record(number, user_id=user_id, started_at=T0 + number % 3))
        store.end(sid(3), EndReason.LOGOUT)
        now, found = store.for_user("1")
        assert now == clock.now
        assert [each.sid for each in found] == [sid(2), sid(0)]
        assert store.for_user("3") == (clock.now, [])

    def test_sessions_past_their_deadline_are_listed_until_somebody_ends_them(self, store, clock):
        store.open(record())
        clock.advance(1000)
        assert store.for_user("1") == (clock.now, [record()])

    def test_all_sessions_come_in_pages_by_sid(self, store):
        for number in (3, 1, 0, 4, 2):
            store.open(record(number))
        store.end(sid(2), EndReason.LOGOUT)
        pages, after = [], ""
        while page := store.all(after, limit=2):
            pages.append([each.sid for each in page])
            after = page[-1].sid
        assert pages == [[sid(0), sid(1)], [sid(2), sid(3)], [sid(4)]]

    def test_empty_store_has_no_page(self, store):
        assert store.all() == []


class TestOwnClock:
    """The same, on the clock that the store has in production."""

    def test_time_passes_forward_near_the_time_of_this_machine(self, real_store):
        before = time.time()
        instants = [real_store.get([])[0] for _ in range(5)]
        assert instants == sorted(instants)
        assert before - 1 < instants[0] <= instants[-1] < time.time() + 1

    def test_all_answers_tell_the_same_time(self, real_store):
        opened = real_store.open(record(started_at=0, last_activity_at=0), as_of=0)
        instants = [
            opened.started_at,
            real_store.get([])[0],
            real_store.get([sid()])[0],
            real_store.touch({})[0],
            real_store.touch({sid(): 0})[0],
            only(real_store).last_activity_at,
            real_store.for_user("1")[0],
            real_store.for_user("2")[0],
        ]
        real_store.bind(sid(), "key", 60)
        instants.append(only(real_store).saved_at)
        instants.append(real_store.end(sid(), EndReason.LOGOUT).ended_at)
        assert instants == sorted(instants)
        assert instants[-1] - instants[0] < 5

    def test_deadline_is_judged_by_it(self, real_store):
        for number, ago in enumerate((99, 101)):
            real_store.open(record(number, started_at=-ago, last_activity_at=-ago), as_of=0)
        assert real_store.overdue(10) == [sid(1)]
        [ended] = real_store.end_due([sid(0), sid(1)])
        assert ended.sid == sid(1)
        assert ended.end_reason is EndReason.IDLE

    def test_activity_is_placed_by_its_age(self, real_store):
        real_store.open(record(started_at=-50, last_activity_at=-50), as_of=0)
        now, before = real_store.touch({sid(): 20})
        assert evaluate(before[sid()], now).expires_in == pytest.approx(50, abs=2)
        now, after = real_store.get([sid()])
        assert evaluate(after[sid()], now).expires_in == pytest.approx(80, abs=2)

    def test_touched_as_the_answer_says_is_what_is_stored(self, real_store):
        # The caller computes what its touch did; it must come to what the store wrote.
        real_store.open(record(started_at=-50, last_activity_at=-50), as_of=0)
        now, before = real_store.touch({sid(): 0.3})
        expected = touched(before[sid()], now - 0.3)
        assert only(real_store).last_activity_at == pytest.approx(
            expected.last_activity_at, abs=1e-5
        )

    def test_old_ends_are_found_by_it(self, real_store):
        real_store.open(record(started_at=0, last_activity_at=0), as_of=0)
        ended = real_store.end(sid(), EndReason.LOGOUT)
        assert real_store.claim_unfinished(60, 10) == []
        assert real_store.claim_unfinished(0, 10) == [ended]
        real_store.finish([sid()])
        assert real_store.purge(60) == 0
        assert real_store.purge(0) == 1


class TestAsyncTwins:
    def test_every_operation_has_one_with_the_same_arguments(self):
        operations = sorted(BaseStore.__abstractmethods__ - {"_run"})
        assert "touch" in operations
        for name in operations:
            own, twin = getattr(BaseStore, name), getattr(BaseStore, f"a{name}")
            assert inspect.iscoroutinefunction(twin)
            assert inspect.signature(twin) == inspect.signature(own)

    async def test_they_do_the_same(self, store, clock):
        store.start()
        assert await store.aopen(record(1, session_key="key"), T0 - 5) == record(
            1, session_key="key"
        ).shifted(5)
        await store.aopen(record(1, session_key="key"))
        assert await store.aget([sid(1), sid(2)]) == (T0, {sid(1): record(1, session_key="key")})
        clock.advance(30)
        assert await store.atouch({sid(1): 10}) == (
            clock.now,
            {sid(1): record(1, session_key="key")},
        )
        assert (await store.atouch({sid(1): 0}, True))[1][sid(1)].last_activity_at == T0 + 20
        await store.abind(sid(1), "other", 60)
        assert [each.session_key for each in (await store.afor_user("1"))[1]] == ["other"]
        assert await store.aend_due([sid(1)]) == []
        clock.advance(100)
        assert await store.aoverdue(5) == [sid(1)]
        [ended] = await store.aend_due([sid(1)])
        assert await store.aend(sid(1), EndReason.IDLE) is None
        assert ended.end_reason is EndReason.IDLE
        assert await store.afind_ended("other") == ended
        assert await store.aclaim_unfinished(0, 5) == [ended]
        await store.afinish([sid(1)])
        assert await store.aall("", 5) == [replace(ended, finished=True)]
        assert await store.apurge(0) == 1
        assert await store.aall() == []
        await store.astop()

    async def test_they_work_between_start_and_stop_and_beyond(self, store, clock):
        store.start()
        store.start()
        await store.aopen(record())
        await store.astop()
        assert await store.aget([sid()]) == (clock.now, {sid(): record()})
        await store.astop()
        assert await store.aget([sid()]) == (clock.now, {sid(): record()})


def test_job_runs_at_once_where_nothing_is_to_be_committed(store):
    jobs = []
    store.on_commit(lambda: jobs.append(1))
    assert jobs == [1]


def test_nothing_was_lost_lately_where_nothing_can_have_been_for_long(store, clock):
    store.lost_lately()
    clock.advance(3600)
    assert store.lost_lately() is False


async def test_that_has_an_async_twin(store, clock):
    await store.alost_lately()
    clock.advance(3600)
    assert await store.alost_lately() is False


def test_epoch_stays_while_nothing_can_have_been_lost(store, clock):
    epoch = store.epoch
    assert isinstance(epoch, int)
    store.open(record())
    store.lost_lately()
    clock.advance(1000)
    store.end_due([sid()])
    store.lost_lately()
    assert store.epoch == epoch
