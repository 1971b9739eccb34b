"""Readers of environment variables; an empty variable counts as unset."""

import math
import os
from collections.abc import Collection

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str) -> str:
    return os.environ.get(name) or default


def seconds(name: str, default: float | None) -> float | None:
    given = os.environ.get(name)
    if not given:
        return default
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise ImproperlyConfigured(f"{name}={given} is not a number of seconds above 0.")
    return value


def choice(name: str, choices: Collection[str], default: str) -> str:
    given = text(name, default)
    if given not in choices:
        raise ImproperlyConfigured(f"{name}={given} is not one of {', '.join(choices)}.")
    return given


def port(name: str, default: int) -> int:
    given = text(name, str(default))
    if not (given.isascii() and given.isdigit() and 0 < int(given) < 65536):
        raise ImproperlyConfigured(f"{name}={given} is not a port: give a number from 1 to 65535.")
    return int(given)
