"""Whom cookies stand for, with every session engine of Django; reading changes nothing."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.sessions.backends.base import SessionBase
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from realtime_session import engine, identity
from realtime_session.engine import SID_KEY
from realtime_session.identity import Identities, Identity, identify
from realtime_session.models import MonitoredSession

ENGINES = ["db", "cache", "cached_db", "file", "signed_cookies"]

pytestmark = pytest.mark.django_db


@pytest.fixture(params=ENGINES)
def engine_name(request, settings, tmp_path):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.SESSION_CACHE_ALIAS = "default"
    cache.clear()
    return request.param


@dataclass
class Login:
    user: object
    client: Client

    @property
    def cookie(self):
        return self.client.cookies["sessionid"].value

    @property
    def session(self):
        return self.client.session

    @property
    def identity(self):
        return Identity(self.session[SID_KEY], str(self.user.pk))


@pytest.fixture
def log_in(engine_name):
    def log_in(name="anna"):
        user, _ = get_user_model().objects.get_or_create(username=name)
        client = Client()
        client.force_login(user)
        return Login(user, client)

    return log_in


@pytest.fixture
def anna(log_in):
    return log_in()


@pytest.fixture
def no_writes(monkeypatch):
    """Fails the test as soon as a session is about to be changed."""

    def forbidden(self, *args, **kwargs):
        raise AssertionError("a session was about to be written")

    # Sessions in signed cookies are kept by the browser alone.
    for name in set(ENGINES) - {"signed_cookies"}:
        store = import_module(f"django.contrib.sessions.backends.{name}").SessionStore
        for method in ("save", "create", "delete", "flush", "cycle_key"):
            if method in vars(store):
                monkeypatch.setattr(store, method, forbidden)
    for method in ("flush", "cycle_key"):
        monkeypatch.setattr(SessionBase, method, forbidden)


class TestIdentify:
    def test_cookie_stands_for_session_and_user(self, anna, no_writes):
        assert identify([anna.cookie]) == {anna.cookie: anna.identity}

    def test_many_cookies_are_told_apart(self, log_in):
        logins = [log_in(name) for name in ("anna", "ben", "carla", "anna")]
        assert identify(login.cookie for login in logins) == {
            login.cookie: login.identity for login in logins
        }

    @pytest.mark.parametrize(
        "cookie", ["", "x", "x" * 32, "x" * 5000, "a:b:c", "../../etc/passwd", "⏳"]
    )
    def test_made_up_cookie_is_nobody(self, anna, no_writes, cookie):
        assert identify([cookie, anna.cookie]) == {anna.cookie: anna.identity}

    def test_cookie_of_somebody_anonymous_is_nobody(self, engine_name):
        session = engine.session_class()()
        session["cart"] = 1
        session.save()
        assert identify([session.session_key]) == {}

    def test_login_that_is_not_monitored_is_nobody(self, anna):
        session = anna.session
        del session[SID_KEY]
        session.save()
        assert identify([session.session_key]) == {}

    @pytest.mark.parametrize("sid", [None, 5, ["a"]])
    def test_sid_that_is_no_string_is_none(self, anna, sid):
        session = anna.session
        session[SID_KEY] = sid
        session.save()
        assert identify([session.session_key]) == {}

    def test_session_after_its_logout_is_nobody(self, anna, engine_name):
        cookie = anna.cookie
        anna.client.logout()
        if engine_name != "signed_cookies":  # which cannot forget; the tombstone refuses it
            assert identify([cookie]) == {}

    def test_user_who_is_gone_or_not_active_is_nobody(self, anna, no_writes):
        get_user_model().objects.update(is_active=False)
        assert identify([anna.cookie]) == {}
        get_user_model().objects.all().delete()
        assert identify([anna.cookie]) == {}

    def test_password_that_changed_elsewhere_makes_nobody_of_it_and_keeps_the_session(
        self, anna, no_writes
    ):
        anna.user.set_password("new")
        anna.user.save()
        assert identify([anna.cookie]) == {}
        assert anna.session[SID_KEY]

    def test_backend_that_is_not_in_use_any_more_makes_nobody_of_it(self, anna):
        session = anna.session
        session[BACKEND_SESSION_KEY] = "nowhere.Backend"
        session.save()
        assert identify([session.session_key]) == {}

    @pytest.mark.parametrize("key", [BACKEND_SESSION_KEY, HASH_SESSION_KEY])
    def test_session_without_backend_or_hash_is_nobody(self, anna, key):
        session = anna.session
        del session[key]
        session.save()
        assert identify([session.session_key]) == {}

    def test_key_that_was_rotated_is_known_as_long_as_it_is_a_fallback(
        self, anna, settings, no_writes
    ):
        # Channels' own get_user would flush the session here.
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "the next one"
        assert list(identify([anna.cookie]).values()) == [
            Identity(MonitoredSession.objects.get().sid, str(anna.user.pk))
        ]
        settings.SECRET_KEY_FALLBACKS = []
        assert identify([anna.cookie]) == {}

    def test_reading_leaves_no_trace(self, anna, engine_name, tmp_path):
        before = traces(tmp_path)
        identify([anna.cookie, "x" * 32, ""])
        assert traces(tmp_path) == before


def traces(directory: Path):
    """All that engines keep."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_key, session_data, expire_date FROM django_session")
        rows = cursor.fetchall()
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    return rows, files, dict(cache._cache)


@pytest.mark.parametrize("engine_name", ["db", "cached_db"], indirect=True)
def test_session_past_its_expiry_is_nobody(anna, engine_name, no_writes):
    model = engine.session_class().get_model_class()
    model.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    cache.clear()
    assert identify([anna.cookie]) == {}


class TestQueries:
    @pytest.fixture
    def engine_name(self, settings):
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
        return "db"

    def test_however_many_come_at_once_there_are_two(self, log_in, django_assert_num_queries):
        cookies = [log_in(f"user{number}").cookie for number in range(20)]
        with django_assert_num_queries(2):
            assert len(identify(cookies)) == 20

    def test_engine_that_reads_by_itself_is_asked_for_each(self, log_in, settings):
        login = log_in()
        expected = {login.cookie: login.identity}
        settings.SESSION_ENGINE = __name__
        SessionStore.loads = 0
        assert identify([login.cookie]) == expected
        assert SessionStore.loads == 1

    def test_backend_that_reads_by_itself_is_asked_for_each(self, log_in, settings):
        settings.AUTHENTICATION_BACKENDS = [f"{__name__}.PickyBackend"]
        logins = [log_in(name) for name in ("anna", "ben")]
        assert identify(login.cookie for login in logins) == {logins[1].cookie: logins[1].identity}


class SessionStore(import_module("django.contrib.sessions.backends.db").SessionStore):
    loads = 0

    @classmethod
    def get_model_class(cls):
        return import_module("django.contrib.sessions.models").Session

    def load(self):
        SessionStore.loads += 1
        return super().load()


class PickyBackend(ModelBackend):
    def get_user(self, user_id):
        user = super().get_user(user_id)
        return None if user.username == "anna" else user


class TestIdentities:
    @pytest.fixture
    def engine_name(self):
        return "db"

    @pytest.fixture
    async def identities(self):
        identities = Identities()
        identities.start()
        yield identities
        await identities.stop()

    @pytest.fixture
    def calls(self, monkeypatch):
        """What is asked together; a key that begins with "bad" fails, with "down" fails for all."""
        calls = []

        def fake(session_keys):
            calls.append(sorted(session_keys))
            if any(key.startswith("down") for key in session_keys):
                raise OperationalError("down")
            if any(key.startswith("bad") for key in session_keys):
                raise LookupError("bad")
            return {key: Identity(key, "1") for key in session_keys if key.startswith("good")}

        monkeypatch.setattr(identity, "identify", fake)
        return calls

    async def test_all_who_ask_at_once_are_asked_for_together(self, identities, calls):
        keys = ["good1", "good2", "unknown"]
        found = await asyncio.gather(*map(identities.find, keys))
        assert found == [Identity("good1", "1"), Identity("good2", "1"), None]
        assert calls == [sorted(keys)]

    async def test_what_fails_for_one_does_not_fail_for_the_others(self, identities, calls):
        keys = ["good1", "good2", "bad", "good3", "good4"]
        found = await asyncio.gather(*map(identities.find, keys), return_exceptions=True)
        assert isinstance(found.pop(2), LookupError)
        assert found == [Identity(f"good{number}", "1") for number in range(1, 5)]

    async def test_database_that_is_down_is_asked_once(self, identities, calls):
        keys = ["good1", "down", "good2"]
        found = await asyncio.gather(*map(identities.find, keys), return_exceptions=True)
        assert [type(each) for each in found] == [OperationalError] * 3
        assert len(calls) == 1


class TestEngine:
    def test_sessions_can_be_deleted_by_their_key(self, anna, engine_name):
        key = engine.revocable_key(anna.session)
        if engine_name == "signed_cookies":
            # There the key is the data, and a secret; and there is nothing to delete.
            assert key == ""
        else:
            assert key == anna.cookie
            engine.delete([key])
            assert identify([anna.cookie]) == {}
        engine.delete([key])

    def test_empty_key_deletes_nothing(self, anna):
        engine.delete([""])
        assert identify([anna.cookie]) == {anna.cookie: anna.identity}

    def test_session_says_who_is_logged_in_without_looking(self, anna, django_assert_num_queries):
        session = anna.session
        session.get("anything")
        with django_assert_num_queries(0):
            assert engine.is_logged_in(session)
            assert engine.user_id_of(session) == str(anna.user.pk)
        assert not engine.is_logged_in(engine.session_class()())

    def test_sid_survives_a_new_key_and_ends_with_the_session(self, anna):
        session = anna.session
        sid = session[SID_KEY]
        session.cycle_key()
        assert session[SID_KEY] == sid
        session.flush()
        assert SID_KEY not in session
