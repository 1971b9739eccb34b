"""The one reader of ``settings.REALTIME_SESSION``: typed, validated, and read when it is needed.

``current()`` gives the settings in force, also under ``override_settings``. ``problems()`` lists what is
wrong with them, for the system checks; ``current()`` raises ImproperlyConfigured for the same.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from .policy import PRESETS, Policy

SETTING = "REALTIME_SESSION"
T = TypeVar("T")


@dataclass(frozen=True)
class StoreSetting:
    """``REALTIME_SESSION["STORE"]``: where the truth is kept."""

    backend: str = "realtime_session.stores.orm.ORMStore"
    options: Mapping[str, Any] = field(default_factory=dict)


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
    store: StoreSetting = StoreSetting()
    on_store_error: str = "deny"
    channel_layer: str = "default"
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
    values, found = _read()
    if found:
        raise ImproperlyConfigured("; ".join(f"{p.message} {p.hint}" for p in found))
    return values


def problems() -> list[Problem]:
    """Return what is wrong with the settings, one entry for each fault."""
    return _read()[1]


@lru_cache(maxsize=1)
def _read() -> tuple[Settings, list[Problem]]:
    given = getattr(settings, SETTING, {})
    if not isinstance(given, Mapping):
        return Settings(), [Problem("E001", f"{SETTING} is not a dictionary.", "Make it one.")]
    values: dict[str, Any] = {}
    found: list[Problem] = []
    for key, value in given.items():
        if key not in _KEYS:
            known = ", ".join(sorted(_KEYS))
            found.append(
                Problem("E002", f"{SETTING}[{key!r}] is unknown.", f"The keys are {known}.")
            )
            continue
        try:
            values[key.lower()] = _KEYS[key].read(value)
        except (ValueError, TypeError, ImportError, re.error) as error:
            message = f"{SETTING}[{key!r}] is not valid: {error}."
            found.append(Problem("E003", message, _KEYS[key].hint))
    read = replace(Settings(), **values)
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


def _seconds(value: Any) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is neither a number of seconds nor a timedelta")
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{value!r} is not a positive duration")
    return float(value)


def _optional(reader: Callable[[Any], T]) -> Callable[[Any], T | None]:
    return lambda value: None if value is None else reader(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither True nor False")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is not a non-empty string")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"{value!r} is not a list of strings")
    return tuple(value)


def _policy(value: Any) -> Policy | Callable[..., Policy]:
    if value in PRESETS:
        return PRESETS[value]
    found = import_string(_text(value))
    if not callable(found):
        raise TypeError(f"{value} is not callable")
    return found  # type: ignore[no-any-return]


def _patterns(value: Any) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern) for pattern in _texts(value))


def _store(value: Any) -> StoreSetting:
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r} is not a dictionary")
    unknown = set(value) - {"BACKEND", "OPTIONS"}
    if unknown:
        raise ValueError(f"unknown key {min(unknown)!r}")
    store = StoreSetting(value.get("BACKEND", StoreSetting.backend), value.get("OPTIONS", {}))
    if not callable(import_string(_text(store.backend))):
        raise TypeError(f"{store.backend} is not callable")
    if not isinstance(store.options, Mapping):
        raise TypeError("OPTIONS is not a dictionary")
    return store


def _origins(value: Any) -> tuple[str, ...]:
    for origin in (origins := _texts(value)):
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
            raise ValueError(f"{origin!r} is not of the form scheme://host or scheme://host:port")
    return tuple(origin.lower() for origin in origins)


def _one_of(*choices: str) -> Callable[[Any], str]:
    def reader(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"{value!r} is not one of {', '.join(map(repr, choices))}")
        return str(value)

    return reader


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is not a whole number of at least 1")
    return value


class _Key(NamedTuple):
    read: Callable[[Any], Any]
    hint: str


_DURATION = "Give seconds, as a number or a datetime.timedelta."
_KEYS: dict[str, _Key] = {
    "IDLE_TIMEOUT": _Key(_seconds, _DURATION),
    "WARN_BEFORE": _Key(_seconds, _DURATION),
    "ABSOLUTE_TIMEOUT": _Key(_optional(_seconds), _DURATION + " None sets no limit."),
    "TAB_CLOSE_GRACE": _Key(
        _optional(_seconds), _DURATION + " None lets a session outlive its tabs."
    ),
    "ACTIVITY_EXTENDS_IN_WARNING": _Key(_boolean, "Give True or False."),
    "POLICY": _Key(
        _optional(_policy),
        "Give the name of a preset, the dotted path of a callable that takes a request and "
        "returns a Policy, or None.",
    ),
    "PASSIVE_URLS": _Key(
        _patterns, "Give a list of regular expressions, searched for in request.path."
    ),
    "PASSIVE_URL_NAMES": _Key(
        lambda value: frozenset(_texts(value)),
        'Give a list of URL names, with namespaces, such as ["app:poll"].',
    ),
    "STORE": _Key(_store, 'Give {"BACKEND": "dotted.path.of.Store", "OPTIONS": {}}.'),
    "ON_STORE_ERROR": _Key(_one_of("deny", "allow"), 'Give "deny" (fail closed) or "allow".'),
    "CHANNEL_LAYER": _Key(_text, "Give the alias of an entry of CHANNEL_LAYERS."),
    "ALLOWED_ORIGINS": _Key(
        _optional(_origins),
        'Give a list such as ["https://app.example.com"], or None to follow Django\'s CSRF check.',
    ),
    "MAX_TABS": _Key(_count, "Give a whole number of at least 1."),
    "WEBSOCKET_URL": _Key(
        _optional(_text), "Give the path or URL at which the browser finds the socket, or None."
    ),
    "LOGOUT_URL": _Key(
        _optional(_text), "Give a path or URL that ends the session on POST, or None."
    ),
    "RECORD_CLIENT": _Key(_boolean, "Give True or False."),
    "NO_STORE": _Key(_boolean, "Give True or False."),
    "SWEEP_INTERVAL": _Key(_seconds, _DURATION),
    "REVALIDATE_INTERVAL": _Key(_seconds, _DURATION),
}
