"""Clocks that are set, summer time, and very long timeouts."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client

from realtime_session import engine
from tests.ages import aage
from tests.servers import Server, hear
from tests.sockets import tab

Start = Callable[..., Server]
SignIn = Callable[[AbstractUser], Client]
IDLE, WARN = 14, 10
LATE = 2.0
DAY = 86_400


@pytest.mark.parametrize("step", [5, -5, 3600, -3600])
async def test_a_clock_that_is_set_during_the_warning_shifts_the_end_by_its_step_at_most(
    start: Start, tmp_path: Path, step: int
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("0")
    server = start(policy={"IDLE_TIMEOUT": IDLE, "WARN_BEFORE": WARN}, TESTS_CLOCK=str(clock))
    active = server.browser().sign_in("ben")
    # The server counts from an instant within the sign-in.
    before = time.monotonic()
    idle = server.browser().sign_in("anna")
    after = time.monotonic()
    async with active.tab() as busy, idle.tab() as quiet:
        for each in (busy, quiet):
            assert (await hear(each))["type"] == "state"
        for each in (busy, quiet):
            assert (await hear(each))["type"] == "warning"
        aside = clock.with_suffix(".new")
        aside.write_text(str(step))
        aside.rename(clock)
        if step < IDLE - WARN + 5:
            # Who chooses to stay in time stays.
            await busy.send('{"type": "extend", "id": "x"}')
            while (answer := await hear(busy)).get("id") != "x":
                assert answer["type"] in ("warning", "extended")
            assert answer["type"] == "extended"
            assert IDLE - 1 < answer["expires_in"] <= IDLE + max(0, -step)
        if step > -IDLE:
            while (message := await hear(quiet))["type"] != "expired":
                assert message["type"] in ("warning", "extended")
            assert message["reason"] == "idle"
            ended = time.monotonic() - IDLE
            assert before + min(0, -step) - 0.5 < ended < after + max(0, -step) + LATE
    logged = re.findall(r"clock jumped by ([+-][\d.]+) s", server.log.read_text())
    assert len(logged) == 1
    assert float(logged[0]) == pytest.approx(step, abs=1.5)


@pytest.mark.parametrize(
    ("now", "end", "seconds"),
    [
        # At the end of March an hour is left out, at the end of October one comes twice.
        (datetime(2026, 3, 29, 0, 30, tzinfo=UTC), "2026-03-29T03:30:00+02:00", 3600),
        (datetime(2026, 10, 24, 23, 30, tzinfo=UTC), "2026-10-25T03:30:00+01:00", 3 * 3600),
        (datetime(2026, 10, 24, 23, 30, tzinfo=UTC), "2026-11-24T00:30:00+01:00", 30 * DAY),
    ],
)
@pytest.mark.parametrize("use_tz", [True, False])
def test_an_end_is_as_far_away_as_it_is_whatever_clocks_on_walls_show(
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    now: datetime,
    end: str,
    seconds: float,
    use_tz: bool,
) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    settings.USE_TZ = use_tz
    monkeypatch.setattr(engine, "time", SimpleNamespace(time=now.timestamp))
    session = SessionStore()
    session._session_cache = {"_session_expiry": end if use_tz else end[:19]}
    assert engine.expiry_of(session) == (None, seconds)


@pytest.mark.parametrize("use_tz", [True, False])
@pytest.mark.parametrize("ahead", [timedelta(seconds=90.5), timedelta(days=2), timedelta(days=40)])
def test_an_end_is_told_to_the_fraction_of_a_second(
    settings: Any, use_tz: bool, ahead: timedelta
) -> None:
    settings.USE_TZ = use_tz
    session = SessionStore()
    session._session_cache = {}
    session.set_expiry(ahead)
    assert engine.expiry_of(session) == (None, pytest.approx(ahead.total_seconds(), abs=0.1))


@pytest.mark.parametrize(("value", "idle_cap"), [(None, None), (0, None), (90, 90), (90.5, 90.5)])
def test_seconds_are_an_idle_timeout_and_the_browsers_end_is_none(
    value: float | None, idle_cap: float | None
) -> None:
    session = SessionStore()
    session._session_cache = {}
    session.set_expiry(value)
    assert engine.expiry_of(session) == (idle_cap, None)


@pytest.mark.parametrize("use_tz", [True, False])
@pytest.mark.parametrize("days", [1.5, 26, 400])
@pytest.mark.django_db(transaction=True)
async def test_timeouts_of_many_days_are_kept_to_the_second(
    settings: Any, anna: AbstractUser, sign_in: SignIn, days: float, use_tz: bool
) -> None:
    settings.USE_TZ = use_tz
    settings.SESSION_COOKIE_AGE = 1000 * DAY
    settings.REALTIME_SESSION = {"IDLE_TIMEOUT": days * DAY, "WARN_BEFORE": 60}
    client = await sync_to_async(sign_in)(anna)
    await aage(client, days * DAY - 70)
    async with tab(client) as socket:
        assert socket.state["phase"] == "active"
        assert 60 < socket.state["expires_in"] <= 70
        await aage(client, 69)
        await socket.say("sync")
        assert (await socket.hear())["type"] in ("state", "warning")
    await aage(client, 1)
    assert (await sync_to_async(client.get)("/whoami/")).json()["ended"] == "idle"
