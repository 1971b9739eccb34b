"""The glue to Django's session engines: what is read from a Django session, and how one is deleted.

Nothing here saves a session. Saving from outside a request would overwrite what a request wrote
meanwhile, and engines with columns of their own would lose them.
"""

from importlib import import_module

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookieStore

SID_KEY = "_realtime_session_sid"
"""Where the Django session's data keep the sid. ``cycle_key`` keeps it, ``flush`` loses it."""


def session_class() -> type[SessionBase]:
    """Return the class of the project's session engine."""
    found: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
    return found


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


def delete(session_key: str) -> None:
    """Delete a Django session from its backend; one that is gone already does no harm. Blocks."""
    if session_key:
        session_class()().delete(session_key)
