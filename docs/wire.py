"""The wire messages' types in the words of TypeScript, which readers of the tables know as well."""

import types
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UnsetType

from docs.words import FIELDS
from realtime_session.protocol import CLIENT_MESSAGES, SERVER_MESSAGES

MESSAGES = SERVER_MESSAGES + CLIENT_MESSAGES
_PLAIN = {float: "number", bool: "boolean", str: "string", type(None): "null"}


class Field(NamedTuple):
    """One field of a message."""

    name: str
    type: str
    optional: bool
    meaning: str


def tag_of(message: type[msgspec.Struct]) -> str:
    """Return a message's ``type`` on the wire."""
    return str(message.__struct_config__.tag)


def summary_of(message: type[msgspec.Struct]) -> str:
    """Return what a message says, in Markdown."""
    return " ".join((message.__doc__ or "").split()).replace("``", "`")


def fields_of(message: type[msgspec.Struct]) -> Iterator[Field]:
    """Yield a message's fields beside ``type``."""
    tag = tag_of(message)
    for name, hint in get_type_hints(message).items():
        if name.startswith("_"):
            continue
        meaning = FIELDS.get(f"{tag}.{name}") or FIELDS[name]
        yield Field(name, _words(hint), UnsetType in get_args(hint), meaning)


def _words(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " | ".join(f'"{value}"' for value in get_args(hint))
    if get_origin(hint) in (Union, types.UnionType):
        return " | ".join(_words(part) for part in get_args(hint) if part is not UnsetType)
    return _PLAIN[hint]
