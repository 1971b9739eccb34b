"""How a session comes to be monitored: at a login, or at the first request of one logged in before."""

import secrets
from typing import Any, NamedTuple

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from . import conf, engine, monitor
from .logs import get_logger
from .policy import EndReason, Policy, Record
from .signals import session_started
from .stores import StoreUnavailable, get_store

logger = get_logger(__name__)

SID_LENGTH = 32
"""Hexadecimal digits: 128 bits, which nobody can guess (OWASP asks for 64)."""


class Adopted(NamedTuple):
    """A session's sid, and whether it is monitored from now on; else it was already, and may have ended."""

    sid: str
    is_new: bool


def adopt(request: HttpRequest) -> Adopted:
    """Monitor a session from before the app was installed, from its first request on.

    Two first requests at once make one record, since both derive the same sid from the session's key; else
    the one that loses its sid to the other's save would end later, and take the Django session with it.
    A cookie from before that is presented again restarts and revives nothing, for the same reason.
    """
    key = request.session.session_key
    if key is None:
        # Logged in by hand just now, and never saved: there is no other request, and nothing to derive from.
        return Adopted(begin(request).sid, is_new=True)
    digest = salted_hmac("realtime_session.sid", key, algorithm="sha256").hexdigest()
    sid = digest[:SID_LENGTH]
    record = get_store().open(_draft(request, sid), as_of=0.0, only_missing=True)
    request.session[engine.SID_KEY] = sid
    if record is not None:
        started = record
        get_store().on_commit(lambda: _tell(started))
    return Adopted(sid, is_new=record is not None)


def begin(request: HttpRequest) -> Record:
    """Monitor the request's logged-in session from now on, or anew after another full login in it.

    Puts the sid into the Django session, which the caller's response is to save.
    """
    session = request.session
    if session.session_key is None:
        # After a flush, as when somebody logs in over another user's session.
        session.cycle_key()
    draft = _draft(request, session.get(engine.SID_KEY) or _new_sid())
    record = get_store().open(draft, as_of=0.0)
    while record is None:
        # That sid has ended: what has ended stays so, and the new login gets an id of its own.
        draft = _draft(request, _new_sid())
        record = get_store().open(draft, as_of=0.0)
    if session.get(engine.SID_KEY) == record.sid:
        monitor.nudge(record.sid)
    else:
        session[engine.SID_KEY] = record.sid
    started = record
    get_store().on_commit(lambda: _tell(started))
    return record


def _new_sid() -> str:
    return secrets.token_hex(SID_LENGTH // 2)


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
    if request is None or not _is_login_of(user, request):
        return
    if not hasattr(request, "user"):
        # As with the test client's force_login; a project's POLICY may want to see who it is.
        request.user = user
    try:
        begin(request)
    except StoreUnavailable as error:
        if conf.current().on_store_error == "deny":
            raise
        logger.warning(
            "The store did not answer a login, whose next request will be monitored: %s",
            error,
            extra={"event": "login_without_store", "error": str(error)},
        )


def _is_login_of(user: Any, request: HttpRequest) -> bool:
    """Say whether this was ``login()`` into the request's session, and not a token's login, say.

    Channels logs in without a request: such a session is taken up at its first request.
    """
    session = getattr(request, "session", None)
    if session is None or not session.modified or not engine.is_logged_in(session):
        return False
    return engine.user_id_of(session) == str(user._meta.pk.value_to_string(user))


def _end_at_logout(sender: Any, request: HttpRequest | None, **kwargs: Any) -> None:
    # Sent before Django empties the session: the last moment at which its sid is known for sure.
    if request is not None and hasattr(request, "session"):
        try:
            monitor.end_session(request, EndReason.LOGOUT)
        except StoreUnavailable as error:
            logger.warning(
                "The store did not answer a logout: %s",
                error,
                extra={"event": "logout_without_store", "error": str(error)},
            )


user_logged_in.connect(_begin_at_login, dispatch_uid="realtime_session.begin")
user_logged_out.connect(_end_at_logout, dispatch_uid="realtime_session.end")
