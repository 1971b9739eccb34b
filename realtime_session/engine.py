"""The glue to Django's session engines: what is read from a Django session, and how one is deleted.

Nothing here saves a session. Saving from outside a request would overwrite what a request wrote
meanwhile, and engines with columns of their own would lose them.
"""

from importlib import import_module
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookieStore

SID_KEY = "_realtime_session_sid"
"""Where the Django session's data keep the sid. ``cycle_key`` keeps it, ``flush`` loses it."""


def session_class() -> type[SessionBase]:
    """Return the class of the project's session engine."""
    found: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
    return found


def reading_class() -> type[SessionBase]:
    """Return the project's session class without the means to write.

    The file engine's ``load`` deletes an expired session and creates an empty one in its place; looking who
    somebody is must not.
    """
    engine = session_class()
    return type(engine.__name__, (engine,), dict.fromkeys(("save", "create", "delete"), _nothing))


def _nothing(self: SessionBase, *args: object, **kwargs: object) -> None:
    """Do nothing."""


def is_logged_in(session: SessionBase) -> bool:
    """Say whether the session's data name a user; does not look for the user."""
    return SESSION_KEY in session


def user_id_of(session: SessionBase) -> str:
    """Return the logged-in user's primary key as the session has it: a string."""
    return str(session[SESSION_KEY])


def revocable_key(session: SessionBase) -> str:
    """Return the key by which the session can be deleted, or "" where it cannot be."""
    if isinstance(session, SignedCookieStore):
        # Here the key is the signed data themselves: a secret, and nothing to delete.
        return ""
    return session.session_key or ""


def credentials_of(session: SessionBase) -> str:
    """Return by what the user logged in, for sessions that cannot be looked up again by a key, else ""."""
    if not isinstance(session, SignedCookieStore):
        return ""
    return f"{session.get(HASH_SESSION_KEY, '')}:{session.get(BACKEND_SESSION_KEY, '')}"


def session_data(user_id: str, credentials: str) -> dict[str, str]:
    """Return what ``credentials_of`` was made of, as the session's data have it."""
    auth_hash, _, backend = credentials.partition(":")
    return {SESSION_KEY: user_id, HASH_SESSION_KEY: auth_hash, BACKEND_SESSION_KEY: backend}


class Expiry(NamedTuple):
    """What a project set with ``set_expiry``: an idle timeout, or an end in so many seconds, or neither."""

    idle_cap: float | None
    fixed_end_in: float | None


def expiry_of(session: SessionBase) -> Expiry:
    """Return the expiry of this one session; 0, the browser's end, is none that a server could keep."""
    value = session.get("_session_expiry")
    if not value:
        return Expiry(None, None)
    if isinstance(value, (int, float)):
        return Expiry(float(value), None)
    return Expiry(None, float(session.get_expiry_age()))


def lifetime_of(session: SessionBase) -> float:
    """Return for how many seconds the session lasts, and its cookie, from when Django saves it."""
    lifetime = float(session.get_expiry_age())
    if isinstance(session, SignedCookieStore):
        # Which it reads whatever ``set_expiry`` said.
        return min(lifetime, float(settings.SESSION_COOKIE_AGE))
    return lifetime


def delete(session_key: str) -> None:
    """Delete a Django session from its backend; one that is gone already does no harm. Blocks."""
    if session_key:
        session_class()().delete(session_key)
