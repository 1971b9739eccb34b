"""The tables of the README and of the protocol reference."""

from collections.abc import Iterable
from typing import Any, get_type_hints

import msgspec

from docs.wire import fields_of, summary_of, tag_of
from docs.words import CLOSE_CODES, SETTINGS
from realtime_session import conf, protocol, values
from realtime_session.protocol import CloseCode

_TYPES = {
    "float": "seconds",
    "bool": "boolean",
    "int": "number",
    "str": "string",
    "tuple[re.Pattern[str], ...]": "list",
    "tuple[str, ...]": "list",
    "frozenset[str]": "list",
    "collections.abc.Callable[..., realtime_session.policy.Policy]": "string",
    "realtime_session.policy.Policy": "string",
    "StoreSetting": "dictionary",
}


def settings_table() -> str:
    """Return every key of ``REALTIME_SESSION`` with its type, its default and what it does."""
    assert list(SETTINGS) == list(conf._KEYS), SETTINGS.keys() ^ conf._KEYS.keys()
    hints, defaults = get_type_hints(conf.Settings), conf.Settings()
    return table(
        ("Key", "Type", "Default", "What it does"),
        (
            (
                f"`{key}`",
                _type_of(hints[key.lower()]),
                f"`{_default(getattr(defaults, key.lower()))}`",
                sentence,
            )
            for key, sentence in SETTINGS.items()
        ),
    )


def _type_of(hint: Any) -> str:
    name = getattr(hint, "__name__", "") if isinstance(hint, type) else ""
    *parts, last = (name or str(hint)).split(" | ")
    if last == "None":
        return f"{_TYPES[parts[0]]} or `None`"
    return _TYPES[last]


def _default(value: Any) -> str:
    if isinstance(value, values.StoreSetting):
        return f'{{"BACKEND": "{value.backend}"}}'
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | frozenset):
        return str(list(value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def messages_reference(messages: Iterable[type[msgspec.Struct]]) -> str:
    """Return a section for each message."""
    return "\n\n".join(_message_section(message) for message in messages)


def _message_section(message: type[msgspec.Struct]) -> str:
    rows = [
        (f"`{f.name}`{' (optional)' if f.optional else ''}", _code(f.type), f.meaning)
        for f in fields_of(message)
    ]
    fields = table(("Field", "Type", "Meaning"), rows) if rows else "No further fields."
    return f"### `{tag_of(message)}`\n\n{summary_of(message)}\n\n{fields}"


def _code(type: str) -> str:
    return ", ".join(f"`{part}`" for part in type.split(" | "))


def limits_table() -> str:
    """Return what a client has to keep to."""
    return table(
        ("Limit", "Value"),
        (
            ("Longest frame from a client", f"{protocol.MAX_FRAME_BYTES} bytes"),
            ("Bad messages that one socket may send", str(protocol.MAX_BAD_MESSAGES)),
            ("Tabs of one session in one process", f"`MAX_TABS`, {conf.Settings.max_tabs}"),
        ),
    )


def close_codes_table() -> str:
    """Return every close code with its meaning and what the shipped client does then."""
    assert set(CLOSE_CODES) == set(CloseCode), set(CLOSE_CODES) ^ set(CloseCode)
    return table(
        ("Code", "Meaning", "The shipped client"),
        ((str(int(code)), *CLOSE_CODES[code]) for code in sorted(CloseCode)),
    )


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
