"""What the values of ``REALTIME_SESSION`` may be: each reader returns one, or raises what is wrong with it.

Readers raise ValueError, TypeError, ImportError or ``re.error``, with a text that names the value.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.utils.module_loading import import_string

from .policy import PRESETS, Policy

T = TypeVar("T")


@dataclass(frozen=True)
class StoreSetting:
    """``REALTIME_SESSION["STORE"]``: where the truth is kept."""

    backend: str = "realtime_session.stores.orm.ORMStore"
    options: Mapping[str, Any] = field(default_factory=dict)


def seconds(value: Any) -> float:
    """Return a duration in seconds, of a number or a timedelta."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is neither a number of seconds nor a timedelta")
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{value!r} is not a positive duration")
    return float(value)


def optional(reader: Callable[[Any], T]) -> Callable[[Any], T | None]:
    """Let None through, and read everything else."""
    return lambda value: None if value is None else reader(value)


def boolean(value: Any) -> bool:
    """Return True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither True nor False")
    return value


def text(value: Any) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is not a non-empty string")
    return value


def texts(value: Any) -> tuple[str, ...]:
    """Return a list of texts."""
    if isinstance(value, str) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"{value!r} is not a list of strings")
    return tuple(value)


def policy(value: Any) -> Policy | Callable[..., Policy]:
    """Return a preset by its name, or a callable by its dotted path."""
    if value in PRESETS:
        return PRESETS[value]
    found = import_string(text(value))
    if not callable(found):
        raise TypeError(f"{value} is not callable")
    return found  # type: ignore[no-any-return]


def patterns(value: Any) -> tuple[re.Pattern[str], ...]:
    """Return regular expressions, compiled."""
    return tuple(re.compile(pattern) for pattern in texts(value))


def store(value: Any) -> StoreSetting:
    """Return a store by its dotted path, with its options."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r} is not a dictionary")
    unknown = set(value) - {"BACKEND", "OPTIONS"}
    if unknown:
        raise ValueError(f"unknown key {min(unknown)!r}")
    setting = StoreSetting(value.get("BACKEND", StoreSetting.backend), value.get("OPTIONS", {}))
    found = import_string(text(setting.backend))
    if not callable(found):
        raise TypeError(f"{setting.backend} is not callable")
    if not isinstance(setting.options, Mapping):
        raise TypeError("OPTIONS is not a dictionary")
    if check_options := getattr(found, "check_options", None):
        check_options(setting.options)
    return setting


def origins(value: Any) -> tuple[str, ...]:
    """Return origins, in lower case."""
    for origin in (origins := texts(value)):
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
            raise ValueError(f"{origin!r} is not of the form scheme://host or scheme://host:port")
    return tuple(origin.lower() for origin in origins)


def one_of(*choices: str) -> Callable[[Any], str]:
    """Return a reader of one of these words."""

    def reader(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"{value!r} is not one of {', '.join(map(repr, choices))}")
        return str(value)

    return reader


def count(value: Any) -> int:
    """Return a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is not a whole number of at least 1")
    return value
