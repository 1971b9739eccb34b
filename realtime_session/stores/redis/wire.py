"""What is sent to Redis for a plan, whoever sends it, and what becomes of errors."""

import re
from collections.abc import Generator
from typing import Any, TypeVar

from redis.exceptions import (
    ConnectionError,
    NoScriptError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError,
)

from ..base import StoreUnavailable
from .scripts import Call, Command

T = TypeVar("T")
Replies = list[Any]
Plan = Generator[list[Call], Replies, T]
"""Yields calls, which are sent at once, is sent their replies, and returns what they come to."""
Wire = Generator[list[Command], Replies, T]
"""The same in plain commands; what fails is thrown in."""

ERRORS = (RedisError, RedisClusterException, OSError)
"""All that redis-py raises where Redis fails."""


def wire(plan: Plan[T]) -> Wire[T]:
    """Return what is to be sent for a plan."""
    replies: Replies | None = None
    while True:
        try:
            calls = plan.send(replies)  # type: ignore[arg-type]  # None begins
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        replies = yield from _answered(calls)


def _answered(calls: list[Call]) -> Wire[Replies]:
    """Send calls; those of scripts that the server does not know, a second time with the script."""
    replies = yield from _sent([call.command for call in calls])
    unknown = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if unknown:
        again = yield from _sent([calls[n].fallback for n in unknown])
        for n, reply in zip(unknown, again, strict=True):
            replies[n] = reply
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _sent(commands: list[Command]) -> Wire[Replies]:
    commands = [_encoded(command) for command in commands]
    try:
        return (yield commands)
    except ConnectionError:
        return (yield commands)


def _encoded(command: Command) -> Command:
    # Not left to redis-py: where hiredis is installed, half a character from a client would raise.
    name, *args = command
    texts = (arg.encode("utf-8", "replace") if isinstance(arg, str) else arg for arg in args)
    return name, *texts


def unavailable(error: Exception) -> StoreUnavailable:
    """Return what the contract calls it: with the kind of the error, and nothing that was asked or told."""
    code = re.match(r"[A-Z]{2,}\b", str(error)) if isinstance(error, ResponseError) else None
    kind = type(error).__name__.lstrip("_")
    return StoreUnavailable(f"Redis failed: {kind}" + (f" ({code[0]})" if code else ""))


def shown(error: Exception) -> Exception | None:
    """Return the error, if what it says may be logged."""
    # What the server says of a command may quote it, and it holds a session key.
    return error if isinstance(error, ConnectionError | TimeoutError | OSError) else None
