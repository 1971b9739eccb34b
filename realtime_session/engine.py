"""The glue to Django's session engines: what is read from a Django session, and how one is deleted.

Nothing here saves a session. Saving from outside a request would overwrite what a request wrote
meanwhile, and engines with columns of their own would lose them.
"""

from importlib import import_module
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
    load_backend,
)
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookieStore
from django.utils.crypto import constant_time_compare

SID_KEY = "_realtime_session_sid"
"""Where the Django session's data keep the sid. ``cycle_key`` keeps it, ``flush`` loses it."""


class Identity(NamedTuple):
    """Whom a session cookie stands for: a monitored session and its user."""

    sid: str
    user_id: str


def session_class() -> type[SessionBase]:
    """Return the class of the project's session engine."""
    found: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
    return found


def identify(session_key: str) -> Identity | None:
    """Say who a cookie's value stands for, or None where nobody is logged in or monitored. Blocks.

    Reads only: unlike ``channels.auth.get_user`` it heeds ``SECRET_KEY_FALLBACKS`` and never flushes a
    session whose hash does not match.
    """
    session = session_class()(session_key)
    sid = session.get(SID_KEY)
    if not isinstance(sid, str) or not is_logged_in(session) or not _has_valid_user(session):
        return None
    return Identity(sid, user_id_of(session))


def is_logged_in(session: SessionBase) -> bool:
    """Say whether the session's data name a user; does not look for the user."""
    return SESSION_KEY in session


def user_id_of(session: SessionBase) -> str:
    """Return the logged-in user's primary key as the session has it: a string."""
    return str(session[SESSION_KEY])


def _has_valid_user(session: SessionBase) -> bool:
    backend_path = session.get(BACKEND_SESSION_KEY)
    if backend_path is None or backend_path not in settings.AUTHENTICATION_BACKENDS:
        return False
    user_id = get_user_model()._meta.pk.to_python(session[SESSION_KEY])
    user = load_backend(backend_path).get_user(user_id)
    return user is not None and _hash_matches(user, session.get(HASH_SESSION_KEY, ""))


def _hash_matches(user: Any, session_hash: str) -> bool:
    if not hasattr(user, "get_session_auth_hash"):
        return True
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(session_hash, known) for known in hashes)


def revocable_key(session: SessionBase) -> str:
    """Return the key by which the session can be deleted, or "" where it cannot be."""
    if isinstance(session, SignedCookieStore):
        # Here the key is the signed data themselves: a secret, and nothing to delete.
        return ""
    return session.session_key or ""


def delete(session_key: str) -> None:
    """Delete a Django session from its backend; one that is gone already does no harm. Blocks."""
    if session_key:
        session_class()().delete(session_key)
