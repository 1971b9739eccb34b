"""Whom session cookies stand for, read from Django's sessions and users, many at a time.

After a restart all tabs come back at once: one query for their sessions and one for their users keep the
server answering then. A session engine or authentication backend that does its own reading is asked for
each of them by itself.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
    load_backend,
)
from django.contrib.auth.backends import ModelBackend
from django.contrib.sessions.backends.db import SessionStore as DatabaseSession
from django.core.exceptions import ValidationError
from django.db import InterfaceError, OperationalError
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from .batcher import Batcher
from .engine import SID_KEY, reading_class, session_data
from .policy import Record
from .stores import StoreUnavailable
from .threads import DatabaseThreads

SessionData = dict[str, Any]

MOST_AT_ONCE = 100


class Identity(NamedTuple):
    """Whom a session cookie stands for: a monitored session and its user."""

    sid: str
    user_id: str


class Identities:
    """Asks whom cookies stand for, for one event loop; what comes in meanwhile is asked together.

    It has a thread of its own, so that a slow receiver of a signal delays nobody who connects.
    """

    def __init__(self) -> None:
        self._thread = DatabaseThreads(1, "realtime-session-identity")
        self._batcher: Batcher[None, Identity | Exception] = Batcher(
            "identify", lambda batch: self._identify(list(batch)), keep=False
        )
        self.start = self._batcher.start

    async def stop(self) -> None:
        """Finish what is under way, and end."""
        await self._batcher.stop()
        self._thread.stop()

    async def find(self, session_key: str) -> Identity | None:
        """Return whom a cookie's value stands for, None where nobody is logged in or monitored.

        Raises whatever the project's session engine or authentication backend does when it is down.
        """
        found = await self._batcher.ask(session_key, None)
        if isinstance(found, Exception):
            raise found
        return found

    async def rejected(self, records: Iterable[Record]) -> list[Record]:
        """Return those records whose Django session or user Django would not accept any more.

        Looks at many by and by, so that whoever connects meanwhile need not wait for all of them. Raises
        StoreUnavailable where the engine or the backend does not answer.
        """
        known, found, took = list(records), [], 0.0
        for start in range(0, len(known), MOST_AT_ONCE):
            await asyncio.sleep(took)
            began = time.monotonic()
            try:
                found += await self._thread.run(rejected, known[start : start + MOST_AT_ONCE])
            except Exception as error:
                raise StoreUnavailable(f"Django's sessions: {type(error).__name__}") from error
            took = time.monotonic() - began
        return found

    async def _identify(self, session_keys: list[str]) -> dict[str, Identity | Exception]:
        try:
            return {**await self._thread.run(identify, session_keys)}
        except Exception as error:
            if len(session_keys) == 1 or isinstance(error, OperationalError | InterfaceError):
                return dict.fromkeys(session_keys, error)
        # Halve until it is found: what fails for one cookie must not fail for the others.
        half = len(session_keys) // 2
        found = await self._identify(session_keys[:half])
        return found | await self._identify(session_keys[half:])


def identify(session_keys: Iterable[str]) -> dict[str, Identity]:
    """Say whom cookies stand for; those of nobody logged in and monitored are left out. Blocks.

    Reads only: unlike ``channels.auth.get_user`` it heeds ``SECRET_KEY_FALLBACKS`` and never flushes a
    session whose hash does not match.
    """
    return _accepted(dict(_load(session_keys)))


def rejected(records: Iterable[Record]) -> list[Record]:
    """Return those records whose Django session or user Django would not accept any more. Blocks."""
    known = list(records)
    by_key = dict(_load(r.session_key for r in known if r.session_key))
    sessions = {
        r.sid: by_key.get(r.session_key, {})
        if r.session_key
        else {SID_KEY: r.sid, **session_data(r.user_id, r.credentials)}
        for r in known
    }
    accepted = _accepted(sessions)
    return [r for r in known if accepted.get(r.sid) != Identity(r.sid, r.user_id)]


def _accepted(sessions: Mapping[str, SessionData]) -> dict[str, Identity]:
    """Return whom sessions stand for, by whatever they are keyed, if Django would let them in."""
    named = {
        key: data
        for key, data in sessions.items()
        if isinstance(data.get(SID_KEY), str) and SESSION_KEY in data
    }
    users = _users_of(named.values())
    return {
        key: Identity(data[SID_KEY], str(data[SESSION_KEY]))
        for key, data in named.items()
        if _hash_matches(users.get(_reference(data)), data.get(HASH_SESSION_KEY, ""))
    }


def _load(session_keys: Iterable[str]) -> Iterator[tuple[str, SessionData]]:
    """Yield the data of each session that there is, by its key."""
    engine = reading_class()
    # An engine's session has no key where the cookie's value cannot be one.
    sessions = {key: session for key in session_keys if (session := engine(key)).session_key}
    if (
        not issubclass(engine, DatabaseSession)
        or engine.load is not DatabaseSession.load
        or engine._get_session_from_db is not DatabaseSession._get_session_from_db  # type: ignore[attr-defined]
    ):
        yield from ((key, session.load()) for key, session in sessions.items())
        return
    rows = engine.get_model_class().objects.filter(
        session_key__in=list(sessions), expire_date__gt=timezone.now()
    )
    for row in rows:
        if row.session_key in sessions:
            yield row.session_key, sessions[row.session_key].decode(row.session_data)


def _reference(data: SessionData) -> tuple[str, str]:
    """Return how a session's data refer to a user: the path of a backend, and its user's id."""
    return data.get(BACKEND_SESSION_KEY, ""), data[SESSION_KEY]


def _users_of(sessions: Iterable[SessionData]) -> dict[tuple[str, str], Any]:
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for data in sessions:
        path, id = _reference(data)
        ids[path].add(id)
    return {
        (path, id): user
        for path in ids.keys() & set(settings.AUTHENTICATION_BACKENDS)
        for id, user in _users_from(load_backend(path), ids[path])
    }


def _users_from(backend: Any, ids: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield those users whom the backend knows and lets in, by their ids as sessions have them."""
    model = get_user_model()
    keys = {id: key for id in ids if (key := _key_of(model, id)) is not None}
    if type(backend).get_user is not ModelBackend.get_user:
        yield from ((id, backend.get_user(key)) for id, key in keys.items())
        return
    users = model._default_manager.in_bulk(keys.values())
    for id, key in keys.items():
        if key in users and backend.user_can_authenticate(users[key]):
            yield id, users[key]


def _key_of(model: Any, id: str) -> Any:
    try:
        return model._meta.pk.to_python(id)
    except ValidationError:
        # Of another user model, say: nobody, and no reason to fail for the others.
        return None


def _hash_matches(user: Any, session_hash: str) -> bool:
    """Say whether there is a user, whose password has not changed since the session began."""
    if user is None or not hasattr(user, "get_session_auth_hash"):
        return user is not None
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(session_hash, known) for known in hashes)
