"""What follows an end, follows it once: whoever settles it, and however long that takes."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import AbstractUser
from django.db import connection
from django.test import Client

from realtime_session import monitor, settling
from realtime_session.models import MonitoredSession
from realtime_session.policy import EndReason
from realtime_session.signals import session_ended
from realtime_session.stores import StoreUnavailable, get_store
from tests.ages import sid_of

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[AbstractUser], Client]
PATIENCE = 20


@contextmanager
def hearing(receiver: Callable[[str], object]) -> Iterator[list[str]]:
    """What ``session_ended`` says meanwhile; ``receiver`` is called with each, too."""
    heard: list[str] = []

    def hear(sid: str, **arguments: Any) -> None:
        heard.append(sid)
        receiver(sid)

    session_ended.connect(hear)
    yield heard
    session_ended.disconnect(hear)


def at_once(*jobs: Callable[[], object]) -> None:
    def run(job: Callable[[], object]) -> None:
        job()
        connection.close()

    threads = [threading.Thread(target=run, args=[job]) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def left_half_done(*sids: str) -> None:
    """As a process does that dies right after the end."""
    for sid in sids:
        get_store().end(sid, EndReason.REVOKED)
    long_ago = time.time() - monitor.SETTLE_AFTER - 1
    MonitoredSession.objects.filter(sid__in=sids).update(ended_at=long_ago, claimed_at=long_ago)


def claims_lapse() -> None:
    long_ago = time.time() - monitor.SETTLE_AFTER - 1
    MonitoredSession.objects.update(ended_at=long_ago, claimed_at=long_ago)


def end_where_sessions_cannot_be_deleted(sid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("django.conf.settings.SESSION_ENGINE", "tests.no_such_engine")
        monitor.end_session(sid)


def sweep() -> None:
    monitor.sweep(keep_for=3600)


def test_sweeps_that_run_at_once_settle_an_end_once(anna: AbstractUser, sign_in: SignIn) -> None:
    sids = [sid_of(sign_in(anna)) for _ in range(8)]
    left_half_done(*sids)
    with hearing(lambda sid: time.sleep(0.02)) as heard:
        at_once(*[sweep] * 6)
    assert sorted(heard) == sorted(sids)
    assert MonitoredSession.objects.filter(finished=True).count() == len(sids)


def test_a_process_does_not_settle_again_what_it_is_still_at(
    anna: AbstractUser, sign_in: SignIn
) -> None:
    sid = sid_of(sign_in(anna))
    is_at_it, may_go_on = threading.Event(), threading.Event()

    def receive(sid: str) -> None:
        is_at_it.set()
        may_go_on.wait(PATIENCE)

    def sweep_meanwhile() -> None:
        is_at_it.wait(PATIENCE)
        claims_lapse()
        sweep()
        may_go_on.set()

    with hearing(receive) as heard:
        at_once(lambda: monitor.end_session(sid), sweep_meanwhile)
    assert heard == [sid]
    assert MonitoredSession.objects.get().finished


def test_what_could_not_be_settled_is_settled_by_a_later_sweep(
    anna: AbstractUser, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    sid = sid_of(sign_in(anna))
    with hearing(lambda sid: None) as heard:
        end_where_sessions_cannot_be_deleted(sid, monkeypatch)
        assert heard == []
        sweep()
        assert heard == [sid]
        sweep()
    assert heard == [sid]


def test_what_could_not_be_settled_for_long_is_left_to_whoever_takes_it_over(
    anna: AbstractUser, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    sid = sid_of(sign_in(anna))
    with hearing(lambda sid: None) as heard:
        end_where_sessions_cannot_be_deleted(sid, monkeypatch)
        monkeypatch.setattr(settling, "RETRY_FOR", -1)
        sweep()
        assert heard == []
        claims_lapse()
        sweep()
    assert heard == [sid]


def test_an_end_that_the_store_did_not_note_is_noted_later_and_not_signalled_again(
    anna: AbstractUser, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    sid = sid_of(sign_in(anna))

    def be_away(self: object, sids: object) -> None:
        raise StoreUnavailable

    with hearing(lambda sid: None) as heard:
        with monkeypatch.context() as away:
            away.setattr(type(get_store()), "finish", be_away)
            with pytest.raises(StoreUnavailable):
                monitor.end_session(sid)
        claims_lapse()
        sweep()
    assert heard == [sid]
    assert MonitoredSession.objects.get().finished


def test_an_end_that_the_store_did_not_note_is_noted_by_the_next_sweep(
    anna: AbstractUser, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    sid = sid_of(sign_in(anna))

    def finish(sids: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as away, hearing(lambda sid: None) as heard:
        away.setattr(get_store(), "finish", finish)
        with pytest.raises(StoreUnavailable):
            monitor.end(sid, EndReason.REVOKED)
    # Long before another process's sweep could claim it.
    sweep()
    assert heard == [sid]
    assert MonitoredSession.objects.get().finished
