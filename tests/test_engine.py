"""What is read from a Django session, and that reading writes nothing."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client
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
