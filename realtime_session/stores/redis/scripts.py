"""The Redis store's Lua scripts: called by their digest, and by their text where the server forgot them.

What is sent of a script is itself, before it the functions of ``lua/policy.lua`` that it calls, and numbers
for the names of a record's parts: each call makes anew whatever stands there, which a write of activity
would pay more for than for its decision.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .records import LUA_NAMES

Command = tuple[str | bytes | int, ...]

_FOLDER = Path(__file__).with_name("lua")
_FUNCTION = re.compile(r"^local function (\w+)\(.*?^end$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"\b[A-Z_]+\b")


def _read(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")


# Each calls only those above it.
_FUNCTIONS = [(found[1], found[0]) for found in _FUNCTION.finditer(_read("policy"))]


@dataclass(frozen=True, slots=True)
class Call:
    """One command; ``fallback`` is sent where the server does not know the script that it names."""

    command: Command
    fallback: Command = ()


class Script:
    """A file of the folder ``lua``."""

    def __init__(self, name: str) -> None:
        self._text = _complete(_read(name))
        self._digest = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Iterable[str], *args: str | bytes) -> Call:
        """Return a call of this script."""
        all_keys = list(keys)
        rest: Command = (len(all_keys), *all_keys, *args)
        return Call(("EVALSHA", self._digest, *rest), ("EVAL", self._text, *rest))


def _complete(text: str) -> str:
    for name, function in reversed(_FUNCTIONS):
        if re.search(rf"\b{name}\(", text):
            text = f"{function}\n{text}"
    return _NAME.sub(lambda found: LUA_NAMES.get(found[0], found[0]), text)
