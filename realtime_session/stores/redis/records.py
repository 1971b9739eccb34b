"""A record as the fields of a Redis hash, and back; and the names that the Lua scripts know them by.

All values are texts: None is "", booleans are "1" and "", and numbers have the digits that tell every
double from its neighbours.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, get_type_hints

from ...policy import INSTANTS, EndReason, Policy, Record
from ..rows import COLUMNS, POLICY_COLUMNS

FIELDS = [name for name in COLUMNS if name != "sid"]
_POLICY_STARTS = FIELDS.index(POLICY_COLUMNS[0])

LUA_NAMES = "\n".join(
    [
        f"local FIELDS = {{{', '.join(map(repr, FIELDS))}}}",
        f"local {', '.join(FIELDS).upper()} = {', '.join(str(n + 1) for n in range(len(FIELDS)))}",
        f"local INSTANTS = {{{', '.join(name.upper() for name in INSTANTS)}}}",
        "",
    ]
)
"""What the scripts call a record's fields."""


def to_text(value: object) -> str:
    """Return a fact as a text."""
    if value is None or value is False:
        return ""
    if value is True:
        return "1"
    return repr(value) if isinstance(value, float) else str(value)


def to_texts(record: Record) -> list[str]:
    """Return the values of ``FIELDS``."""
    facts = [getattr(record, name) for name in FIELDS[:_POLICY_STARTS]]
    facts += [getattr(record.policy, name) for name in POLICY_COLUMNS]
    return [to_text(fact) for fact in facts]


def _optional_number(value: bytes) -> float | None:
    return float(value) if value else None


_READERS: dict[Any, Callable[[bytes], Any]] = {
    str: lambda value: value.decode("utf-8", "surrogatepass"),
    float: float,
    float | None: _optional_number,
    bool: bool,
    EndReason | None: lambda value: EndReason(value.decode()) if value else None,
}
_TYPES = get_type_hints(Record) | get_type_hints(Policy)
_FACTS = [(name, _READERS[_TYPES[name]]) for name in FIELDS[:_POLICY_STARTS]]
_POLICY_FACTS = [(name, _READERS[_TYPES[name]]) for name in POLICY_COLUMNS]


def to_record(sid: str, texts: Sequence[bytes | None]) -> Record:
    """Return the record in the values of ``FIELDS``, in that order.

    A fact that is not there, because an older version wrote the record, has its default.
    """
    facts = {
        name: read(text)
        for (name, read), text in zip(_FACTS, texts, strict=False)
        if text is not None
    }
    return Record(sid=sid, policy=_policy(tuple(texts[_POLICY_STARTS:])), **facts)


@lru_cache(maxsize=256)
def _policy(texts: tuple[bytes | None, ...]) -> Policy:
    """Return the policy in its fields' values: one object for the many sessions that share it."""
    pairs = zip(_POLICY_FACTS, texts, strict=True)
    return Policy(**{name: read(text) for (name, read), text in pairs if text is not None})
