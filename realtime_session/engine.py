"""The glue to Django's session engines: what is read from a Django session, and how one is deleted.

Nothing here saves a session. Saving from outside a request would overwrite what a request wrote
meanwhile, and engines with columns of their own would lose them.
"""

import os
import time
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.backends.cache import SessionStore as CacheStore
from django.contrib.sessions.backends.cached_db import SessionStore as CachedDatabaseStore
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.backends.file import SessionStore as FileStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookieStore
from django.core.cache.backends.base import BaseCache
from django.db import InterfaceError, OperationalError

from .logs import get_logger

logger = get_logger(__name__)

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
    # Not ``get_expiry_age``, which cuts off the fraction of a second.
    return Expiry(None, session.get_expiry_date().timestamp() - time.time())


def lifetime_of(session: SessionBase) -> float:
    """Return for how many seconds the session lasts, and its cookie, from when Django saves it."""
    lifetime = float(session.get_expiry_age())
    if isinstance(session, SignedCookieStore):
        # Which it reads whatever ``set_expiry`` said.
        return min(lifetime, float(settings.SESSION_COOKIE_AGE))
    return lifetime


def renew(session: SessionBase) -> None:
    """Have Django, at the end of the request, send the cookie again and let the session last longer.

    An engine of Django's, or one made from it, does not write the data anew: that would undo what
    another request writes meanwhile.
    """
    if not session.modified:
        session.modified = True

        def attempt(save: Callable[[], None]) -> None:
            if not _prolong(session):
                save()

        _replace_save(session, attempt)


def _prolong(session: SessionBase) -> bool:
    """Move the session's expiry without its data; say whether that is possible."""
    if isinstance(session, DatabaseStore):
        rows = session.get_model_class().objects.filter(session_key=session.session_key)
        if not rows.update(expire_date=session.get_expiry_date()):
            raise UpdateError
        if isinstance(session, CachedDatabaseStore):
            _cache_of(session).touch(session.cache_key, session.get_expiry_age())
        return True
    if isinstance(session, CacheStore):
        if not _cache_of(session).touch(session.cache_key, session.get_expiry_age()):
            raise UpdateError
        return True
    if isinstance(session, FileStore):
        try:
            os.utime(session._key_to_file())  # type: ignore[attr-defined]  # unknown to the stubs
        except FileNotFoundError:
            raise UpdateError from None
        return True
    return False


def _cache_of(session: CacheStore | CachedDatabaseStore) -> BaseCache:
    cache: BaseCache = session._cache  # type: ignore[union-attr]  # unknown to the stubs
    return cache


def spare_ended(session: SessionBase, has_ended: Callable[[], bool]) -> None:
    """Let Django's save pass if the session is gone because it has just ended: it would answer a bare 400."""

    def attempt(save: Callable[[], None]) -> None:
        try:
            save()
        except UpdateError:
            if not has_ended():
                raise

    _replace_save(session, attempt)


def _replace_save(session: SessionBase, attempt: Callable[[Callable[[], None]], None]) -> None:
    save = session.save

    def replaced(*args: Any, **kwargs: Any) -> None:
        attempt(partial(save, *args, **kwargs))

    session.save = replaced  # type: ignore[method-assign]


def delete(session_keys: Iterable[str]) -> dict[str, Exception]:
    """Delete Django sessions from their backend, many at a time where it can; gone ones do no harm. Blocks.

    Returns what went wrong, by key. One that cannot be deleted does not keep the others.
    """
    keys = [key for key in session_keys if key]
    if not keys:
        return {}
    try:
        if _delete_together(keys):
            return {}
    except (OperationalError, InterfaceError) as error:
        return dict.fromkeys(keys, error)
    except Exception as error:
        kind = type(error).__name__
        logger.debug(
            "%d Django sessions are deleted one by one: %s",
            len(keys),
            kind,
            extra={"event": "deleted_one_by_one", "count": len(keys), "error": kind},
        )
    failures = {key: _delete_one(key) for key in keys}
    return {key: failure for key, failure in failures.items() if failure is not None}


def _delete_together(keys: list[str]) -> bool:
    """Delete them all; say whether the engine can: one that deletes in a way of its own cannot."""
    engine = session_class()
    own_way: Any = engine.delete
    if own_way not in (DatabaseStore.delete, CachedDatabaseStore.delete, CacheStore.delete):
        return False
    if issubclass(engine, DatabaseStore):
        engine.get_model_class().objects.filter(session_key__in=keys).delete()
    if issubclass(engine, (CacheStore, CachedDatabaseStore)):
        session = engine()
        _cache_of(session).delete_many(session.cache_key_prefix + key for key in keys)
    return True


def _delete_one(key: str) -> Exception | None:
    try:
        session_class()().delete(key)
    except Exception as error:
        return error
    return None
