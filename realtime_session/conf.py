"""The one reader of ``settings.REALTIME_SESSION``: typed, validated, and read when it is needed.

``current()`` gives the settings in force, also under ``override_settings``. ``problems()`` lists what is
wrong with them, for the system checks; ``current()`` raises ImproperlyConfigured for the same.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

from . import values
from .policy import Policy
from .values import StoreSetting

SETTING = "REALTIME_SESSION"


@dataclass(frozen=True)
class Settings:
    """The settings in force; durations in seconds. The README's table says what each one does."""

    idle_timeout: float = 900.0
    warn_before: float = 120.0
    absolute_timeout: float | None = None
    tab_close_grace: float | None = None
    activity_extends_in_warning: bool = False
    policy: Policy | Callable[..., Policy] | None = None
    passive_urls: tuple[re.Pattern[str], ...] = ()
    passive_url_names: frozenset[str] = frozenset()
    store: StoreSetting = field(default_factory=StoreSetting)
    on_store_error: str = "deny"
    channel_layer: str | None = "default"
    allowed_origins: tuple[str, ...] | None = None
    max_tabs: int = 100
    websocket_url: str | None = "/ws/session/"
    logout_url: str | None = None
    record_client: bool = True
    no_store: bool = False
    sweep_interval: float = 60.0
    revalidate_interval: float = 30.0

    @property
    def default_policy(self) -> Policy:
        """The policy of every session for which ``POLICY`` gives no other one."""
        if isinstance(self.policy, Policy):
            return self.policy
        return Policy(**{f.name: getattr(self, f.name) for f in fields(Policy)})


class Problem(NamedTuple):
    """One fault in the settings: the id of its system check, what is wrong, and how to mend it."""

    check_id: str
    message: str
    hint: str


def current() -> Settings:
    """Return the settings in force. Raises ImproperlyConfigured where a key is unknown or bad."""
    read, found = _read()
    if found:
        raise ImproperlyConfigured("; ".join(f"{p.message} {p.hint}" for p in found))
    return read


def problems() -> list[Problem]:
    """Return what is wrong with the settings, one entry for each fault."""
    return _read()[1]


@lru_cache(maxsize=1)
def _read() -> tuple[Settings, list[Problem]]:
    given = getattr(settings, SETTING, {})
    if not isinstance(given, Mapping):
        return Settings(), [Problem("E001", f"{SETTING} is not a dictionary.", "Make it one.")]
    read_values: dict[str, Any] = {}
    found: list[Problem] = []
    for key, value in given.items():
        if key not in _KEYS:
            known = ", ".join(sorted(_KEYS))
            found.append(
                Problem("E002", f"{SETTING}[{key!r}] is unknown.", f"The keys are {known}.")
            )
            continue
        try:
            read_values[key.lower()] = _KEYS[key].read(value)
        except (ValueError, TypeError, ImportError, re.error) as error:
            message = f"{SETTING}[{key!r}] is not valid: {error}."
            found.append(Problem("E003", message, _KEYS[key].hint))
    read = replace(Settings(), **read_values)
    return read, found or _contradictions(read)


def _contradictions(read: Settings) -> list[Problem]:
    if callable(read.policy):
        return []
    try:
        read.default_policy  # noqa: B018  # built for its validation
    except ValueError as error:
        key = str(error).partition(" ")[0].upper()
        return [
            Problem(
                "E004",
                f"{SETTING}[{key!r}]: {error}.",
                "People are warned WARN_BEFORE seconds before either timeout: lower WARN_BEFORE "
                "or raise the timeout.",
            )
        ]
    return []


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == SETTING:
        _read.cache_clear()


class _Key(NamedTuple):
    read: Callable[[Any], Any]
    hint: str


_DURATION = "Give seconds, as a number or a datetime.timedelta."
_KEYS: dict[str, _Key] = {
    "IDLE_TIMEOUT": _Key(values.seconds, _DURATION),
    "WARN_BEFORE": _Key(values.seconds, _DURATION),
    "ABSOLUTE_TIMEOUT": _Key(values.optional(values.seconds), _DURATION + " None sets no limit."),
    "TAB_CLOSE_GRACE": _Key(
        values.optional(values.seconds), _DURATION + " None lets a session outlive its tabs."
    ),
    "ACTIVITY_EXTENDS_IN_WARNING": _Key(values.boolean, "Give True or False."),
    "POLICY": _Key(
        values.optional(values.policy),
        "Give the name of a preset, the dotted path of a callable that takes a request and "
        "returns a Policy, or None.",
    ),
    "PASSIVE_URLS": _Key(
        values.patterns, "Give a list of regular expressions, searched for in request.path."
    ),
    "PASSIVE_URL_NAMES": _Key(
        lambda value: frozenset(values.texts(value)),
        'Give a list of URL names, with namespaces, such as ["app:poll"].',
    ),
    "STORE": _Key(values.store, 'Give {"BACKEND": "dotted.path.of.Store", "OPTIONS": {}}.'),
    "ON_STORE_ERROR": _Key(values.one_of("deny", "allow"), 'Give "deny" (fail closed) or "allow".'),
    "CHANNEL_LAYER": _Key(
        values.optional(values.text), "Give the alias of an entry of CHANNEL_LAYERS, or None."
    ),
    "ALLOWED_ORIGINS": _Key(
        values.optional(values.origins),
        'Give a list such as ["https://app.example.com"], or None to follow Django\'s CSRF check.',
    ),
    "MAX_TABS": _Key(values.count, "Give a whole number of at least 1."),
    "WEBSOCKET_URL": _Key(
        values.optional(values.text),
        "Give the path or URL at which the browser finds the socket, or None.",
    ),
    "LOGOUT_URL": _Key(
        values.optional(values.text), "Give a path or URL that ends the session on POST, or None."
    ),
    "RECORD_CLIENT": _Key(values.boolean, "Give True or False."),
    "NO_STORE": _Key(values.boolean, "Give True or False."),
    "SWEEP_INTERVAL": _Key(values.seconds, _DURATION),
    "REVALIDATE_INTERVAL": _Key(values.seconds, _DURATION),
}
