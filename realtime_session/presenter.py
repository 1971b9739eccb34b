"""What the server says about a record: from facts and clock to messages of the wire protocol."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Literal, cast

from django.conf import settings
from django.core.signals import setting_changed
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, get_script_prefix, reverse, set_script_prefix
from django.utils.translation import override
from msgspec import UNSET, UnsetType

from . import protocol
from .policy import EndReason, Record, Status, evaluate
from .wording import message_for

NearReason = Literal["idle", "absolute"]


def activity_interval(record: Record) -> float:
    """Return how often a client may send ``activity``, in seconds.

    Often enough that the idle timeout counts from the last activity to within a second.
    """
    return min(1.0, record.idle_limit / 20)


def state(record: Record, now: float, id: str | UnsetType = UNSET) -> protocol.State:
    """Return the ``state`` of a live session."""
    status = evaluate(record, now)
    return protocol.State(
        at=now,
        phase=cast(Literal["active", "warning"], status.phase.value),
        expires_in=status.expires_in,
        warns_in=status.warns_in,
        reason=cast(NearReason, status.reason.value),
        can_extend=status.can_extend,
        idle_timeout=record.idle_limit,
        warn_before=record.warn_limit,
        absolute_expires_in=status.absolute_expires_in,
        activity_interval=activity_interval(record),
        activity_extends_in_warning=record.policy.activity_extends_in_warning,
        id=id,
    )


def warning(status: Status, now: float) -> protocol.Warning:
    """Return the ``warning`` of a session that is in its warning phase."""
    return protocol.Warning(
        at=now,
        expires_in=status.expires_in,
        reason=cast(NearReason, status.reason.value),
        can_extend=status.can_extend,
    )


def extended(status: Status, now: float, id: str | UnsetType = UNSET) -> protocol.Extended:
    """Return the ``extended`` of a live session."""
    return protocol.Extended(
        at=now,
        expires_in=status.expires_in,
        warns_in=status.warns_in,
        can_extend=status.can_extend,
        id=id,
    )


def expired(
    reason: EndReason, now: float, language: str = "", script_name: str | None = None
) -> protocol.Expired:
    """Return the ``expired`` of a session that ended for ``reason``.

    With ``script_name`` it is as a request would say it that came in this language and to this mount point.
    """
    if script_name is None:
        message, redirect = message_for(reason), login_url()
    else:
        message, redirect = _end_in(language, script_name, reason)
    return protocol.Expired(at=now, reason=reason.value, message=message, redirect=redirect)


@lru_cache(maxsize=256)
def _end_in(language: str, script_name: str, reason: EndReason) -> tuple[str, str | None]:
    # Kept: to find it out costs ten times as much as to send it, and thousands may end at once.
    with in_place_of_request(language, script_name):
        return message_for(reason), login_url()


@contextmanager
def in_place_of_request(language: str, script_name: str) -> Iterator[None]:
    """Speak and make URLs as a request would: in its language, and where the project is mounted."""
    before = get_script_prefix()
    set_script_prefix(f"{script_name}/")
    try:
        with override(language or None):
            yield
    finally:
        set_script_prefix(before)


def login_url() -> str | None:
    """Return where people log in, without ``next``; None where ``LOGIN_URL`` leads nowhere."""
    try:
        return resolve_url(settings.LOGIN_URL)
    except NoReverseMatch:
        return None


def refresh_url() -> str | None:
    """Return where a tab renews the cookie; None if ``realtime_session.urls`` are not included."""
    try:
        return reverse("realtime_session:refresh")
    except NoReverseMatch:
        return None


def _forget(**arguments: object) -> None:
    _end_in.cache_clear()


# Settings change in tests only.
setting_changed.connect(_forget)
