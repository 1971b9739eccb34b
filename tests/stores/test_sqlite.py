"""SQLite as Django opens it: a transaction that reads first cannot write once somebody else wrote."""

import threading
import time

import pytest
from django.db import connections

from realtime_session.policy import Policy

from .backends import sqlite
from .records import record, sid

SECONDS = 1.5


@pytest.fixture
def backend(django_db_blocker):
    with django_db_blocker.unblock(), sqlite() as backend:
        yield backend


@pytest.mark.parametrize(
    "operation",
    [
        lambda store: store.set_policy(sid(), Policy(idle_timeout=200, warn_before=20)),
        lambda store: store.set_expiry(sid(), 50, None),
        lambda store: (store.join(sid(), "process", 30), store.leave(sid(), "process")),
        lambda store: (store.open(record(2), as_of=0), store.purge(0)),
    ],
    ids=["policy", "expiry", "presence", "open"],
)
def test_nobody_fails_because_others_write(backend, operation):
    store = backend.make()
    for number in (0, 1):
        store.open(record(number, started_at=-5, last_activity_at=-5), as_of=0)
    give_up_at = time.monotonic() + SECONDS
    done, failures = [], []

    def repeat(job):
        try:
            while time.monotonic() < give_up_at:
                job()
                done.append(job)
        except Exception as failure:
            failures.append(failure)
        finally:
            connections.close_all()

    jobs = [lambda: store.touch({sid(1): 0}), lambda: operation(store)] * 2
    threads = [threading.Thread(target=repeat, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(jobs) <= set(done)
