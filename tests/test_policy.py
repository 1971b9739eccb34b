import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from realtime_session.policy import EndReason, Phase, Policy, Record, evaluate, touched

T0 = 1_000_000.0
JUST = 0.001


def record(policy: Policy | None = None, **facts: object) -> Record:
    """A session that began at T0, of a policy of 100 s with 20 s of warning."""
    policy = policy or Policy(idle_timeout=100, warn_before=20)
    begun = {"started_at": T0, "last_activity_at": T0, **facts}
    return Record(sid="a" * 32, user_id="1", policy=policy, **begun)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("after", "phase"),
    [
        (0, Phase.ACTIVE),
        (80 - JUST, Phase.ACTIVE),
        (80, Phase.WARNING),
        (80 + JUST, Phase.WARNING),
        (100 - JUST, Phase.WARNING),
        (100, Phase.ENDED),
        (100 + JUST, Phase.ENDED),
        (10_000_000, Phase.ENDED),
    ],
)
def test_phase_changes_at_the_very_instant_of_its_deadline(after, phase):
    assert evaluate(record(), T0 + after).phase is phase


def test_durations_count_down_and_stop_at_zero():
    def durations(after):
        status = evaluate(record(), T0 + after)
        return status.expires_in, status.warns_in

    assert durations(0) == (100, 80)
    assert durations(30) == (70, 50)
    assert durations(80) == (20, 0)
    assert durations(90) == (10, 0)
    assert durations(100) == (0, 0)
    assert durations(101) == (0, 0)


def test_clock_behind_the_last_activity_only_makes_the_time_left_longer():
    status = evaluate(record(), T0 - 5)
    assert status.phase is Phase.ACTIVE
    assert status.expires_in == 105


def test_session_without_absolute_limit_has_no_absolute_end():
    status = evaluate(record(), T0)
    assert record().absolute_end_at is None
    assert status.absolute_expires_in is None
    assert status.reason is EndReason.IDLE
    assert status.can_extend


@pytest.mark.parametrize(
    ("absolute_timeout", "reason"),
    [(100 - JUST, EndReason.ABSOLUTE), (100, EndReason.ABSOLUTE), (100 + JUST, EndReason.IDLE)],
)
def test_reason_is_the_nearer_deadline_and_absolute_where_both_are_one(absolute_timeout, reason):
    policy = Policy(idle_timeout=100, warn_before=20, absolute_timeout=absolute_timeout)
    status = evaluate(record(policy), T0 + 90)
    assert status.reason is reason
    assert status.can_extend is (reason is EndReason.IDLE)


def test_absolute_timeout_counts_from_the_login_and_warns_too():
    policy = Policy(idle_timeout=100, warn_before=20, absolute_timeout=150)
    busy = record(policy, last_activity_at=T0 + 120)
    assert evaluate(busy, T0 + 130 - JUST).phase is Phase.ACTIVE
    warning = evaluate(busy, T0 + 130)
    assert warning.phase is Phase.WARNING
    assert warning.absolute_expires_in == warning.expires_in == 20
    assert evaluate(busy, T0 + 150).phase is Phase.ENDED
    assert evaluate(busy, T0 + 150).absolute_expires_in == 0


@pytest.mark.parametrize(
    ("absolute_timeout", "fixed_end_at", "expected"),
    [
        (None, None, None),
        (500, None, T0 + 500),
        (None, T0 + 300, T0 + 300),
        (500, T0 + 300, T0 + 300),
        (200, T0 + 300, T0 + 200),
    ],
)
def test_absolute_end_is_the_earlier_of_timeout_and_fixed_end(
    absolute_timeout, fixed_end_at, expected
):
    policy = Policy(idle_timeout=100, warn_before=20, absolute_timeout=absolute_timeout)
    assert record(policy, fixed_end_at=fixed_end_at).absolute_end_at == expected


def test_ended_session_stays_ended_for_its_own_reason_whatever_the_clock_says():
    ended = record(ended_at=T0 + 5, end_reason=EndReason.REVOKED)
    for now in (T0 - 5, T0, T0 + 5, T0 + 1000):
        status = evaluate(ended, now)
        assert (status.phase, status.reason) == (Phase.ENDED, EndReason.REVOKED)
        assert (status.expires_in, status.warns_in, status.can_extend) == (0, 0, False)


def test_ended_session_without_a_reason_is_unknown():
    assert evaluate(record(ended_at=T0), T0).reason is EndReason.UNKNOWN


@pytest.mark.parametrize("extend", [False, True])
@pytest.mark.parametrize("extends_in_warning", [False, True])
@pytest.mark.parametrize(
    ("after", "phase"),
    [
        (80 - JUST, Phase.ACTIVE),
        (80, Phase.WARNING),
        (100 - JUST, Phase.WARNING),
        (100, Phase.ENDED),
        (100 + JUST, Phase.ENDED),
    ],
)
def test_activity_counts_until_the_end_and_in_the_warning_by_choice_or_policy(
    after, phase, extends_in_warning, extend
):
    policy = Policy(
        idle_timeout=100, warn_before=20, activity_extends_in_warning=extends_in_warning
    )
    before = record(policy)
    counts = phase is Phase.ACTIVE or (phase is Phase.WARNING and (extend or extends_in_warning))
    later = touched(before, T0 + after, extend=extend)
    if counts:
        assert later == replace(before, last_activity_at=T0 + after)
    else:
        assert later is before


@pytest.mark.parametrize("at", [T0 - 1, T0])
def test_activity_that_is_not_later_than_the_last_changes_nothing(at):
    before = record()
    assert touched(before, at, extend=True) is before


def test_activity_never_moves_the_absolute_deadline():
    policy = Policy(idle_timeout=100, warn_before=20, absolute_timeout=150)
    later = touched(record(policy), T0 + 70, extend=True)
    assert later.absolute_end_at == T0 + 150
    assert later.deadline_at == T0 + 150


def test_activity_never_revives_an_ended_session():
    ended = record(ended_at=T0 + 5, end_reason=EndReason.LOGOUT)
    assert touched(ended, T0 + 6, extend=True) is ended


def test_shifting_moves_all_instants_and_nothing_else():
    before = record(
        fixed_end_at=T0 + 300,
        joined_at=T0 + 3,
        paged_at=T0 + 4,
        closing_at=T0 + 5,
        saved_at=T0 + 2,
        ended_at=T0 + 9,
        cookie_age=60,
    )
    after = before.shifted(50)
    assert after == replace(
        before,
        started_at=T0 + 50,
        last_activity_at=T0 + 50,
        fixed_end_at=T0 + 350,
        joined_at=T0 + 53,
        paged_at=T0 + 54,
        closing_at=T0 + 55,
        saved_at=T0 + 52,
        ended_at=T0 + 59,
    )
    assert record().shifted(50).ended_at is None


def test_shifting_knows_every_instant_of_a_record():
    # A new field named …_at must be shifted as well.
    instants = {name for name in Record.__struct_fields__ if name.endswith("_at")}
    whole = record(**dict.fromkeys(instants, T0))
    shifted = whole.shifted(1)
    assert {name for name in instants if getattr(shifted, name) == T0 + 1} == instants


def test_session_key_is_not_in_the_representation_of_a_record():
    assert "topsecret" not in repr(record(session_key="topsecret"))


@pytest.mark.parametrize(
    "name", ["idle_timeout", "warn_before", "absolute_timeout", "tab_close_grace"]
)
@pytest.mark.parametrize("value", [0, -1, math.inf, -math.inf, math.nan])
def test_duration_that_is_no_positive_number_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be a positive number of seconds"):
        Policy(**{name: value})


@pytest.mark.parametrize("name", ["idle_timeout", "warn_before"])
def test_idle_timeout_and_warning_cannot_be_none(name):
    with pytest.raises(ValueError, match=f"^{name} must be"):
        Policy(**{name: None})


@pytest.mark.parametrize("name", ["idle_timeout", "absolute_timeout"])
def test_timeout_has_to_be_longer_than_the_warning(name):
    longer = {"idle_timeout": 200, "warn_before": 20, name: 20 + JUST}
    assert Policy(**longer)
    for value in (20, 20 - JUST):
        with pytest.raises(ValueError, match=f"^{name} must be longer than warn_before"):
            Policy(**longer | {name: value})


def test_grace_may_be_shorter_than_the_warning():
    assert Policy(tab_close_grace=1).tab_close_grace == 1


def test_words_are_those_of_the_protocol():
    assert [str(reason) for reason in EndReason] == [
        "idle", "absolute", "logout", "revoked", "closed", "unknown",
    ]  # fmt: skip
    assert [str(phase) for phase in Phase] == ["active", "warning", "ended"]


durations = st.floats(1, 100_000)
offsets = st.floats(-1000, 200_000)


@st.composite
def records(draw):
    warn_before = draw(durations)
    longer = durations.map(lambda more: warn_before + more)
    policy = Policy(
        idle_timeout=draw(longer),
        warn_before=warn_before,
        absolute_timeout=draw(st.none() | longer),
        activity_extends_in_warning=draw(st.booleans()),
    )
    return record(
        policy,
        last_activity_at=T0 + draw(st.floats(0, 100_000)),
        fixed_end_at=draw(st.none() | offsets.map(lambda offset: T0 + offset)),
    )


@given(records(), offsets, offsets)
def test_phases_only_follow_each_other_in_their_order(record, one, other):
    order = list(Phase)
    earlier, later = (evaluate(record, T0 + offset).phase for offset in sorted([one, other]))
    assert order.index(earlier) <= order.index(later)


@given(records(), offsets)
def test_phase_durations_and_reason_agree(record, after):
    now = T0 + after
    status = evaluate(record, now)
    assert (status.phase is Phase.ENDED) == (status.expires_in == 0) == (now >= record.deadline_at)
    assert (status.phase is Phase.ACTIVE) == (status.warns_in > 0)
    assert 0 <= status.warns_in <= status.expires_in
    if status.absolute_expires_in is not None:
        assert status.expires_in <= status.absolute_expires_in
    if status.can_extend:
        assert status.reason is EndReason.IDLE


@given(records(), offsets, st.booleans())
def test_activity_only_moves_the_deadline_away_and_only_while_the_session_lives(
    record, after, extend
):
    now = T0 + after
    later = touched(record, now, extend=extend)
    assert later.deadline_at >= record.deadline_at
    assert later.absolute_end_at == record.absolute_end_at
    if later is not record:
        assert later.last_activity_at == now
        assert now < record.deadline_at
