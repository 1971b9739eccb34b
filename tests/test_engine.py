"""What is read from a Django session, and that reading writes nothing."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection
from django.db.models import ProtectedError
from django.db.models.signals import pre_delete
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from realtime_session import engine
from realtime_session.identity import identify


def test_looking_at_an_expired_session_of_the_file_engine_writes_no_file(
    anna: AbstractUser, settings: Any, tmp_path: Path
) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.file"
    settings.SESSION_FILE_PATH = tmp_path
    client = Client()
    client.force_login(anna)
    settings.SESSION_COOKIE_AGE = -1
    before = sorted(tmp_path.iterdir())
    assert identify([client.cookies["sessionid"].value]) == {}
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("value", [None, 0])
def test_an_expiry_with_the_browser_is_none_a_server_could_keep(value: int | None) -> None:
    session = SessionStore()
    session.set_expiry(value)
    assert engine.expiry_of(session) == (None, None)


def test_an_expiry_in_seconds_is_an_idle_timeout() -> None:
    session = SessionStore()
    session.set_expiry(60)
    assert engine.expiry_of(session) == (60, None)


@pytest.mark.parametrize("seconds", [60, 30 * 86400])
def test_an_expiry_at_an_instant_or_after_a_span_is_a_fixed_end(seconds: int) -> None:
    for end in (timedelta(seconds=seconds), timezone.now() + timedelta(seconds=seconds)):
        session = SessionStore()
        session.set_expiry(end)
        idle_cap, fixed_end_in = engine.expiry_of(session)
        assert idle_cap is None
        assert fixed_end_in == pytest.approx(seconds, abs=2)


def test_credentials_give_back_what_they_were_made_of() -> None:
    data = engine.session_data("7", "hash:path.to.Backend")
    assert data == {
        "_auth_user_id": "7",
        "_auth_user_hash": "hash",
        "_auth_user_backend": "path.to.Backend",
    }


ENGINES = {
    "django.contrib.sessions.backends.db": 1,
    "django.contrib.sessions.backends.cached_db": 1,
    "django.contrib.sessions.backends.cache": 0,
    "django.contrib.sessions.backends.file": 0,
    "tests.project.engines.key_value": 0,
    "tests.project.engines.with_columns": 1,
}


@pytest.fixture
def scratch_sessions(settings: Any, tmp_path: Path) -> None:
    settings.SESSION_FILE_PATH = tmp_path
    settings.CACHES = {
        name: {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": tmp_path,
        }
        for name in ("default", "shared")
    }


def opened(count: int) -> list[str]:
    sessions = [engine.session_class()() for _ in range(count)]
    for session in sessions:
        session["a"] = 1
        session.save()
    return [session.session_key or "" for session in sessions]


def exists(key: str) -> bool:
    return engine.session_class()().exists(key)


@pytest.mark.parametrize("name", ENGINES)
def test_many_sessions_are_deleted_at_once_where_the_engine_can(
    db: None, settings: Any, scratch_sessions: None, name: str
) -> None:
    settings.SESSION_ENGINE = name
    *keys, other = opened(20)
    with CaptureQueriesContext(connection) as captured:
        assert engine.delete([*keys, "", "gone"]) == {}
    assert len([q for q in captured if q["sql"].startswith("DELETE")]) == ENGINES[name]
    assert not any(exists(key) for key in keys)
    assert exists(other)


def test_nothing_to_delete_asks_nobody(settings: Any) -> None:
    settings.SESSION_ENGINE = "tests.no_such_engine"
    assert engine.delete([""]) == {}


def test_an_engine_that_deletes_in_its_own_way_is_asked_for_each(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(SessionStore):
        def delete(self, session_key: str | None = None) -> None:
            if session_key == keys[1]:
                raise RuntimeError
            super().delete(session_key)

    keys = opened(3)
    monkeypatch.setattr(engine, "session_class", lambda: Own)
    failed = engine.delete(keys)
    assert list(failed) == [keys[1]]
    assert isinstance(failed[keys[1]], RuntimeError)
    assert [exists(key) for key in keys] == [False, True, False]


def test_a_session_that_must_stay_does_not_keep_the_others(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = opened(3)

    def protect(sender: object, instance: Session, **arguments: Any) -> None:
        if instance.session_key == keys[1]:
            raise ProtectedError("It is needed.", {instance})

    pre_delete.connect(protect, Session)
    failed = engine.delete(keys)
    pre_delete.disconnect(protect, Session)
    assert list(failed) == [keys[1]]
    assert [exists(key) for key in keys] == [False, True, False]


def test_a_database_that_is_away_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def be_away(cls: type) -> None:
        asked.append(1)
        raise OperationalError

    monkeypatch.setattr(SessionStore, "get_model_class", classmethod(be_away))
    assert set(engine.delete(["a", "b", "c"])) == {"a", "b", "c"}
    assert len(asked) == 1
