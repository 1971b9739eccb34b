"""Logged-in people for the servers to serve, put straight into the database."""

import secrets
from collections.abc import Callable
from typing import NamedTuple

from asgiref.sync import sync_to_async
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.utils import timezone

from realtime_session.engine import SID_KEY
from realtime_session.policy import Policy, Record
from realtime_session.stores import get_store

BACKEND = "django.contrib.auth.backends.ModelBackend"


PolicyFor = Callable[[int], Policy]


class LoggedIn(NamedTuple):
    """One person's session."""

    sid: str
    session_key: str


def log_in(count: int, policy_for: PolicyFor = lambda index: Policy()) -> list[str]:
    """Log in ``count`` new people, each with one session; return the session keys."""
    return [person.session_key for person in begin(count, policy_for)]


@transaction.atomic
def begin(count: int, policy_for: PolicyFor = lambda index: Policy()) -> list[LoggedIn]:
    """Log in ``count`` new people; each policy is asked for when its session begins."""
    name = secrets.token_hex(4)
    users = get_user_model().objects.bulk_create(
        User(username=f"{name}-{index}", password="!") for index in range(count)
    )
    return [_begin(user, policy_for(index)) for index, user in enumerate(users)]


alog_in = sync_to_async(log_in)


abegin = sync_to_async(begin)


def _begin(user: User, policy: Policy) -> LoggedIn:
    sid = secrets.token_hex(16)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = BACKEND
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session[SID_KEY] = sid
    session["logged_in_at"] = timezone.now().isoformat()
    session.create()
    record = Record(
        sid=sid,
        user_id=str(user.pk),
        started_at=0.0,
        last_activity_at=0.0,
        policy=policy,
        session_key=session.session_key or "",
        cookie_age=float(session.get_expiry_age()),
    )
    get_store().open(record, as_of=0.0)
    return LoggedIn(sid, session.session_key or "")
