"""Nudges as messages: how they are numbered on their way out, and how a missing one is noticed.

Channel layers deliver at most once, and say nothing of what they drop. So each sender numbers its messages,
and sends one without sids from time to time: whoever misses a number looks at all sessions.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice
from typing import Any

from .forks import in_each_fork

GROUP = "realtime-session"
MAX_SIDS = 500
"""Sids in one message: some 17 KB."""
MAX_QUEUED = 20_000
MAX_SENDERS = 10_000
SEND_TIMEOUT = 5.0

_origin = ""


@in_each_fork
def _begin_anew() -> None:
    global _origin
    _origin = secrets.token_hex(8)


_begin_anew()


def origin() -> str:
    """Return a name for this process, which a fork does not share."""
    return _origin


class Outbox:
    """One sender's nudges on their way to the group.

    What cannot be sent or kept leaves a gap in the numbers: whoever notices it looks at everything.
    """

    def __init__(self) -> None:
        self.sender = secrets.token_hex(8)
        self._number = 0
        self._sids: dict[str, None] = {}
        self._lock = asyncio.Lock()

    def add(self, sids: Iterable[str]) -> None:
        """Keep sids for the next ``flush``."""
        self._sids.update(dict.fromkeys(sids))
        if len(self._sids) > MAX_QUEUED:
            self._sids.clear()
            self._number += 1

    async def flush(self, layer: Any) -> None:
        """Send all that was added. Raises what the layer raises; the message under way is lost then."""
        async with self._lock:
            while batch := list(islice(self._sids, MAX_SIDS)):
                for sid in batch:
                    del self._sids[sid]
                await self._post(layer, batch)

    async def beat(self, layer: Any) -> int:
        """Send a message without sids, and return its number."""
        async with self._lock:
            await self._post(layer, [])
            return self._number

    async def _post(self, layer: Any, sids: list[str]) -> None:
        self._number += 1
        async with asyncio.timeout(SEND_TIMEOUT):
            await layer.group_send(GROUP, message(sids, self.sender, self._number))


def message(sids: list[str], sender: str, number: int) -> dict[str, Any]:
    """Return the channel layer message of a nudge."""
    return {
        "type": "realtime_session.nudge",
        "sids": sids,
        "origin": origin(),
        "sender": sender,
        "number": number,
    }


class Inbox:
    """Knows which number came last from each sender.

    What a sender sent before it was first heard counts as heard: whoever joins looks at everything anyway.
    """

    def __init__(self) -> None:
        self._last: OrderedDict[str, int] = OrderedDict()

    def misses(self, sender: str, number: int) -> bool:
        """Take note of a message; whether one is missing before it. A doubled or late one misses nothing."""
        last = self._last.get(sender, number - 1)
        self._last[sender] = max(last, number)
        self._last.move_to_end(sender)
        if len(self._last) > MAX_SENDERS:
            self._last.popitem(last=False)
        return number > last + 1
