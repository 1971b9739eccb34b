"""A record as the value of a Redis key, and back; and the names that the Lua scripts know its parts by.

The value is the record's numbers, each a double of eight bytes in the order of ``NUMBERS``, then the number
of this layout, a byte, and then its texts, a msgpack array in the order of ``TEXTS``. So a script reads all
that the policy asks for in one go, and activity overwrites the first 24 bytes. Infinity stands for None, 0
and 1 for booleans.
"""

import math
import struct
from contextlib import suppress
from functools import lru_cache
from operator import itemgetter
from typing import Any, get_type_hints

import msgspec

from ...policy import INSTANTS, EndReason, Policy, Record
from ..rows import POLICY_COLUMNS, RECORD_COLUMNS, refused

LAYOUT = 1
"""Another number for each change of what is kept where: so nobody misreads what another version wrote.

Small ones, which are the first byte of no double that a record holds.
"""

# What a touch writes comes first.
_TOUCHED = ["last_activity_at", "paged_at", "closing_at"]
_TYPES = get_type_hints(Record) | get_type_hints(Policy)
_IS_TEXT = {name: _TYPES[name] in (str, EndReason | None) for name in RECORD_COLUMNS}
_OTHERS = [name for name in RECORD_COLUMNS if not _IS_TEXT[name] and name not in _TOUCHED]
_FACTS = _TOUCHED + _OTHERS

NUMBERS = _FACTS + POLICY_COLUMNS
_TEXTS_READ = [name for name in RECORD_COLUMNS if _IS_TEXT[name] and name != "sid"]
TEXTS = [*_TEXTS_READ, "won_by"]
"""``won_by`` is the token of the call that ended or claimed it last."""

_NUMBERS = struct.Struct(f">{len(NUMBERS)}d")
_LAYOUT = bytes([LAYOUT])
_TEXTS_AT = _NUMBERS.size + len(_LAYOUT)
_COUNT, _FINISHED, _END_REASON = len(_FACTS), _FACTS.index("finished"), TEXTS.index("end_reason")
_READ = ["sid", "policy", *_FACTS, *TEXTS]
_required = itemgetter(*(n for n, name in enumerate(_FACTS) if _TYPES[name] is float))
_in_order = itemgetter(*map(_READ.index, Record.__struct_fields__))
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[str]).decode


def _positions(names: list[str]) -> dict[str, str]:
    return {name.upper(): str(position) for position, name in enumerate(names, 1)}


LUA_NAMES = _positions(NUMBERS) | _positions(TEXTS)
"""What the scripts call the parts of a record, and what stands for it in what is sent."""
LUA_NAMES |= {
    "NUMBERS": f"'>{'d' * len(NUMBERS)}'",
    "COUNT": str(len(NUMBERS)),
    "SIZE": str(_NUMBERS.size),
    "TEXT_COUNT": str(len(TEXTS)),
    "LAYOUT": str(LAYOUT),
    "LONGEST": str(10**12),
    "INSTANTS": f"{{{', '.join(LUA_NAMES[name.upper()] for name in INSTANTS)}}}",
}


def to_text(number: float | None) -> str:
    """Return a number as an argument for a script: with the digits that tell it from its neighbours."""
    return "" if number is None else repr(float(number))


def position(name: str) -> str:
    """Return where a script finds a fact, among the numbers or among the texts."""
    return str((NUMBERS if name in NUMBERS else TEXTS).index(name) + 1)


def to_value(record: Record) -> bytes:
    """Return the value that holds a record."""
    facts: list[Any] = [getattr(record, name) for name in _FACTS]
    facts += [getattr(record.policy, name) for name in POLICY_COLUMNS]
    texts = [_clean(getattr(record, name, "") or "") for name in TEXTS]
    numbers = _NUMBERS.pack(*(math.inf if fact is None else fact for fact in facts))
    return numbers + _LAYOUT + _encode(texts)


def _clean(text: str) -> str:
    # What clients send may hold half a character.
    return text.encode("utf-8", "replace").decode()


BLANK = to_value(Record("", "", 0.0, 0.0, end_reason=EndReason.UNKNOWN))
"""What the scripts put in place of what they cannot read, when they end it."""


def to_record(sid: str, value: bytes) -> Record:
    """Return the record in a value; one that cannot be read is ``refused``, and no other with it."""
    # Thousands may be asked for at once: plain, for the sake of speed.
    try:
        if value[_NUMBERS.size : _TEXTS_AT] != _LAYOUT:
            raise ValueError("it is of another layout")
        numbers = _NUMBERS.unpack_from(value)
        if not math.isfinite(sum(_required(numbers))):
            raise ValueError("an instant is missing")
        facts: list[Any] = [None if number == math.inf else number for number in numbers[:_COUNT]]
        facts[_FINISHED] = bool(facts[_FINISHED])
        texts: list[Any] = _decode(value[_TEXTS_AT:])
        texts[_END_REASON] = EndReason(texts[_END_REASON]) if texts[_END_REASON] else None
        return Record(*_in_order((sid, _policy(numbers[_COUNT:]), *facts, *texts)))
    except (ValueError, TypeError, IndexError) as error:
        return refused(_readable(sid, value), error)


def _readable(sid: str, value: bytes) -> dict[str, Any]:
    """Return those facts in a value that can be read."""
    facts: dict[str, Any] = {"sid": sid, **dict.fromkeys(_TEXTS_READ, ""), "last_activity_at": 0.0}
    facts |= {"started_at": 0.0, "ended_at": None}
    if value[_NUMBERS.size : _TEXTS_AT] == _LAYOUT:
        numbers = zip(_FACTS, _NUMBERS.unpack_from(value), strict=False)
        facts |= {name: number for name, number in numbers if math.isfinite(number)}
        with suppress(ValueError):
            facts |= zip(_TEXTS_READ, _decode(value[_TEXTS_AT:]), strict=False)
    facts["finished"] = bool(facts.get("finished"))
    reason = facts["end_reason"]
    facts["end_reason"] = EndReason(reason) if reason in set(EndReason) else None
    return facts


@lru_cache(maxsize=256)
def _policy(numbers: tuple[float, ...]) -> Policy:
    """Return the policy in its numbers: one object for the many sessions that share it."""
    given = [None if number == math.inf else number for number in numbers]
    facts: dict[str, Any] = dict(zip(POLICY_COLUMNS, given, strict=True))
    facts["activity_extends_in_warning"] = bool(facts["activity_extends_in_warning"])
    return Policy(**facts)
