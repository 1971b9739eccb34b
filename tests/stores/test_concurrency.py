"""Many at once: one winner for each end, no activity after it, no deadlock."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from realtime_session.policy import EndReason, Policy

from .records import began_ago, record, sid

THREADS = 50


def at_once(*jobs: Callable[[], object]) -> list[object]:
    """Runs each job on a thread of its own, all from the same moment on; answers what they return."""
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], object]) -> object:
        try:
            barrier.wait(30)
            return job()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def test_end_has_exactly_one_winner(real_store):
    real_store.open(record(started_at=0, last_activity_at=0), as_of=0)
    ended = at_once(*[lambda: real_store.end(sid(), EndReason.LOGOUT)] * THREADS)
    [winner] = [each for each in ended if each is not None]
    assert real_store.get([sid()])[1] == {sid(): winner}


def test_due_ends_have_exactly_one_winner_each(real_store):
    sids = [sid(number) for number in range(30)]
    for number in range(30):
        real_store.open(began_ago(200, number), as_of=0)

    def end(order):
        return real_store.end_due(order)

    orders = [sids, sids[::-1], sids[::2], sids[15:] + sids[:15]]
    answers = at_once(*[lambda order=order: end(order) for order in orders * (THREADS // 4)])
    ended = [each for answer in answers for each in answer]
    assert sorted(each.sid for each in ended) == sids
    assert real_store.get(sids)[1] == {each.sid: each for each in ended}


def test_an_unfinished_end_is_claimed_by_one(real_store):
    sids = [sid(number) for number in range(30)]
    for number in range(30):
        real_store.open(began_ago(200, number), as_of=0)
    assert len(real_store.end_due(sids)) == 30
    time.sleep(1.1)
    claims = at_once(*[lambda: real_store.claim_unfinished(1.0, 20)] * THREADS)
    claimed = [each.sid for claim in claims for each in claim]
    assert len(claimed) == len(set(claimed))
    if len(claimed) < 30:
        # All of them looked at the same twenty.
        claimed += [each.sid for each in real_store.claim_unfinished(1.0, 20)]
    assert sorted(claimed) == sids


def test_no_activity_is_noted_after_the_end(real_store):
    real_store.open(record(started_at=-5, last_activity_at=-5), as_of=0)

    def touch():
        return [real_store.touch({sid(): 0}, extend) for extend in (False, True)]

    def end():
        return real_store.end(sid(), EndReason.REVOKED)

    answers = at_once(*[touch] * (THREADS - 10), *[end] * 10)
    [winner] = [each for each in answers[THREADS - 10 :] if each is not None]
    [kept] = real_store.get([sid()])[1].values()
    assert kept == winner
    assert kept.last_activity_at <= kept.ended_at
    for answer in answers[: THREADS - 10]:
        for _, before in answer:
            # What a touch was told is a state that the record was really in.
            assert before[sid()].ended_at in (None, winner.ended_at)


def test_session_that_was_extended_in_time_is_not_ended_as_due(real_store):
    # A moment is left: whoever comes first is right, and nobody is ended before the deadline.
    policy = Policy(idle_timeout=100, warn_before=20)
    for number in range(5):
        facts = record(number, started_at=-99.9, last_activity_at=-99.9, policy=policy)
        real_store.open(facts, as_of=0)
    sids = [sid(number) for number in range(5)]

    def extend():
        return real_store.touch(dict.fromkeys(sids, 0.0), extend=True)[1]

    def end():
        return real_store.end_due(sids)

    at_once(*[extend] * 5, *[end] * 5)
    for kept in real_store.get(sids)[1].values():
        if kept.ended_at is not None:
            assert kept.ended_at >= kept.deadline_at


def test_last_activity_never_moves_back(real_store):
    real_store.open(record(started_at=-60, last_activity_at=-60), as_of=0)
    ages = [float(age) for age in range(THREADS)]
    at_once(*[lambda age=age: real_store.touch({sid(): age}) for age in ages])
    now, kept = real_store.get([sid()])
    assert now - kept[sid()].last_activity_at == pytest.approx(0, abs=10)
    assert now - kept[sid()].last_activity_at < 10


def test_batches_in_opposite_orders_do_not_block_each_other(real_store):
    for number in range(60):
        real_store.open(record(number, started_at=-9, last_activity_at=-9), as_of=0)
    sids = [sid(number) for number in range(60)]

    def touch(order):
        for _ in range(10):
            assert len(real_store.touch(dict.fromkeys(order, 0.0))[1]) == 60
            assert real_store.end_due(order) == []
            real_store.finish(order)

    at_once(*[lambda: touch(sids), lambda: touch(sids[::-1])] * 4)


def test_session_that_is_opened_by_many_is_one(real_store):
    draft = record(started_at=0, last_activity_at=0)
    opened = at_once(*[lambda: real_store.open(draft, as_of=0)] * THREADS)
    assert None not in opened
    assert [kept.sid for kept in real_store.all()] == [sid()]


def test_opening_never_revives_what_is_ended_meanwhile(real_store):
    draft = record(started_at=0, last_activity_at=0)
    real_store.open(draft, as_of=0)

    def reopen():
        return [real_store.open(draft, as_of=0) for _ in range(5)]

    answers = at_once(*[reopen] * 20, lambda: real_store.end(sid(), EndReason.LOGOUT))
    winner = answers[-1]
    assert winner is not None
    assert real_store.get([sid()])[1] == {sid(): winner}


async def test_async_operations_may_be_called_all_at_once(real_store):
    real_store.start()
    await real_store.aopen(record(started_at=0, last_activity_at=0), 0)
    ended = await asyncio.gather(
        *(real_store.aend(sid(), EndReason.LOGOUT) for _ in range(THREADS)),
        *(real_store.atouch({sid(): 0}) for _ in range(THREADS)),
    )
    assert len([each for each in ended[:THREADS] if each is not None]) == 1
    await real_store.astop()
