"""How a session comes to be monitored: at a login, or at the first request of one logged in before."""

import secrets
from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest

from . import conf, engine, monitor
from .policy import Policy, Record
from .signals import session_started
from .stores import get_store


def begin(request: HttpRequest) -> Record:
    """Monitor the request's logged-in session from now on, or anew after another full login in it.

    Puts the sid into the Django session, which the caller's response is to save.
    """
    session = request.session
    if session.session_key is None:
        # After a flush, as when somebody logs in over another user's session.
        session.cycle_key()
    draft = _draft(request, session.get(engine.SID_KEY) or secrets.token_hex(16))
    record = get_store().open(draft, as_of=0.0)
    while record is None:
        # That sid has ended: what has ended stays so, and the new login gets an id of its own.
        draft = _draft(request, secrets.token_hex(16))
        record = get_store().open(draft, as_of=0.0)
    if session.get(engine.SID_KEY) == record.sid:
        monitor.nudge(record.sid)
    else:
        session[engine.SID_KEY] = record.sid
    started = record
    get_store().on_commit(lambda: _tell(started))
    return record


def _tell(started: Record) -> None:
    session_started.send_robust(
        Record, sid=started.sid, user_id=started.user_id, reason=None, at=started.started_at
    )


def _draft(request: HttpRequest, sid: str) -> Record:
    """Return a record for the request in a timebase where now is 0."""
    kept = conf.current().record_client
    expiry = engine.expiry_of(request.session)
    return Record(
        sid=sid,
        user_id=engine.user_id_of(request.session),
        started_at=0.0,
        last_activity_at=0.0,
        policy=_policy_for(request),
        session_key=engine.revocable_key(request.session),
        credentials=engine.credentials_of(request.session),
        idle_cap=expiry.idle_cap,
        fixed_end_at=expiry.fixed_end_in,
        cookie_age=engine.lifetime_of(request.session),
        ip_address=request.META.get("REMOTE_ADDR", "") if kept else "",
        user_agent=request.META.get("HTTP_USER_AGENT", "") if kept else "",
    )


def _policy_for(request: HttpRequest) -> Policy:
    settings = conf.current()
    if not callable(settings.policy):
        return settings.default_policy
    policy = settings.policy(request)
    if not isinstance(policy, Policy):
        raise TypeError(f'{conf.SETTING}["POLICY"] returned {policy!r}, which is no Policy')
    return policy


def _begin_at_login(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    # Channels logs in without a request: such a session is taken up at its first request.
    if request is not None and hasattr(request, "session"):
        if not hasattr(request, "user"):
            # As with the test client's force_login; a project's POLICY may want to see who it is.
            request.user = user
        begin(request)


user_logged_in.connect(_begin_at_login, dispatch_uid="realtime_session.begin")
