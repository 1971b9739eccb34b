"""``manage.py sessionmonitor``."""

from collections.abc import Callable
from io import StringIO

import pytest
from django.contrib.auth.models import AbstractUser
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from realtime_session.models import MonitoredSession
from tests.ages import age, sid_of

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[AbstractUser], Client]


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("sessionmonitor", *arguments, stdout=out)
    return out.getvalue()


def test_sweep_ends_what_is_overdue(anna: AbstractUser, sign_in: SignIn) -> None:
    age(sign_in(anna), 901)
    sign_in(anna)
    assert run("sweep") == "1 session(s) ended.\n"
    assert MonitoredSession.objects.filter(end_reason="idle", finished=True).count() == 1
    assert run("sweep") == "0 session(s) ended.\n"


def test_list_shows_live_sessions_and_no_key(
    anna: AbstractUser, ben: AbstractUser, sign_in: SignIn
) -> None:
    mine, other = sign_in(anna), sign_in(ben)
    age(sign_in(ben), 901)
    listing = run("list")
    assert {line.split()[0] for line in listing.splitlines()} == {sid_of(mine), sid_of(other)}
    assert "active" in listing
    assert mine.session.session_key not in listing
    assert [line.split()[0] for line in run("list", "--user", "anna").splitlines()] == [
        sid_of(mine)
    ]


def test_end_ends_one_or_all_of_a_user(anna: AbstractUser, sign_in: SignIn) -> None:
    one, two, three = (sign_in(anna) for _ in range(3))
    assert run("end", "--sid", sid_of(one), "--reason", "closed") == "1 session(s) ended.\n"
    assert one.get("/whoami/").json() == {"user": "", "ended": "closed"}
    assert run("end", "--user", "anna") == "2 session(s) ended.\n"
    for client in (two, three):
        assert client.get("/whoami/").json() == {"user": "", "ended": "revoked"}


def test_an_unknown_user_is_an_error(db: None) -> None:
    with pytest.raises(CommandError, match="no user 'nobody'"):
        run("end", "--user", "nobody")


def test_a_store_that_does_not_answer_is_an_error(db: None) -> None:
    table = MonitoredSession._meta.db_table
    with connection.schema_editor() as schema:
        schema.alter_db_table(MonitoredSession, table, "away")
    with pytest.raises(CommandError, match="database"):
        run("sweep")
    with connection.schema_editor() as schema:
        schema.alter_db_table(MonitoredSession, "away", table)
