"""The Redis store's Lua scripts: called by their digest, and by their text where the server forgot them."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .records import LUA_NAMES

Command = tuple[str | bytes | int, ...]

_FOLDER = Path(__file__).with_name("lua")
_POLICY = (_FOLDER / "policy.lua").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Call:
    """One command; ``fallback`` is sent where the server does not know the script that it names."""

    command: Command
    fallback: Command = ()


class Script:
    """A file of the folder ``lua``."""

    def __init__(self, name: str) -> None:
        own = (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")
        self._text = LUA_NAMES + _POLICY + own
        self._digest = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Iterable[str], *args: str | bytes) -> Call:
        """Return a call of this script."""
        all_keys = list(keys)
        rest: Command = (len(all_keys), *all_keys, *args)
        return Call(("EVALSHA", self._digest, *rest), ("EVAL", self._text, *rest))
