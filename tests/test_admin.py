import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from realtime_session.engine import SID_KEY
from realtime_session.models import MonitoredSession
from realtime_session.policy import EndReason
from realtime_session.stores import get_store

pytestmark = pytest.mark.django_db
LIST = "admin:realtime_session_monitoredsession_changelist"


@pytest.fixture
def staff():
    user = get_user_model().objects.create_superuser("staff")
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def row(staff):
    """The session of the member of staff that looks."""
    return MonitoredSession.objects.get(sid=staff.session[SID_KEY])


@pytest.fixture
def page(row):
    return reverse("admin:realtime_session_monitoredsession_change", args=[row.sid])


@pytest.fixture
def other(row):
    """Somebody else's session, which was ended."""
    row.pk, row.user_id = "f" * 32, "4711"
    row.save()
    get_store().end(row.sid, EndReason.REVOKED)


def test_sessions_are_listed(staff, other):
    text = staff.get(reverse(LIST)).content.decode()
    assert "ffffffff…" in text
    assert "4711" in text
    assert "revoked" in text


def test_sessions_are_found_by_their_user(staff, other):
    text = staff.get(reverse(LIST), {"q": "4711"}).content.decode()
    assert "ffffffff…" in text
    assert "1 monitored session" in text


def test_session_key_is_never_shown(staff, row, page):
    assert len(row.session_key) == 32
    for url in (reverse(LIST), page):
        text = staff.get(url).content.decode()
        assert row.sid[:8] in text
        assert row.session_key not in text


def test_session_key_is_not_searched(staff, row):
    text = staff.get(reverse(LIST), {"q": row.session_key}).content.decode()
    assert "0 monitored sessions" in text


def test_session_can_be_looked_at(staff, page):
    text = staff.get(page).content.decode()
    assert "127.0.0.1" in text or "IP address" in text
    assert 'name="_save"' not in text


def test_nothing_can_be_added_changed_or_deleted(staff, row, page):
    add = reverse("admin:realtime_session_monitoredsession_add")
    delete = reverse("admin:realtime_session_monitoredsession_delete", args=[row.sid])
    actions = {"action": "delete_selected", "_selected_action": [row.sid], "post": "yes"}
    assert staff.get(add).status_code == 403
    assert staff.post(add, {}).status_code == 403
    assert staff.post(page, {"user_id": "2"}).status_code == 403
    assert staff.post(delete, {"post": "yes"}).status_code == 403
    staff.post(reverse(LIST), actions)
    assert MonitoredSession.objects.get(sid=row.sid).user_id == row.user_id


def test_every_column_is_of_the_model_or_explained():
    shown = admin.site.get_model_admin(MonitoredSession)
    columns = {field.name for field in MonitoredSession._meta.fields}
    assert set(shown.fields) - columns == {"short_sid", "started", "last_activity", "ended"}
    assert "session_key" not in {*shown.fields, *shown.list_display, *shown.search_fields}


def test_row_is_named_by_the_beginning_of_its_sid(row):
    assert str(row) == f"{row.sid[:8]}…"
