"""Whether the Redis server is still the one that was told and asked before, with all that it was told."""

import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import ResponseError

LOSS_GRACE = 15.0
"""Seconds after a loss for which a missing record may still be told again.

A process with tabs looks for losses every second, though it takes up to 4.5 to notice that a server which was
away is back. In the other 10 it can tell some 5,000 records: a busy one was measured to tell 500 a second.
"""


class Epoch:
    """``number`` rises with what shows that the server may have lost something.

    That is a new connection which finds another history than those before it found. A server's history is
    that of its process (``run_id``, another one after a restart) and of its data (``master_replid``, another
    one after a failover). In a Cluster (``by_address``) each address has its own; one that is new tells of a
    failover if its server was a replica before (``master_replid2``). Where INFO is forbidden, nothing is
    known of that. And it is a partition that has begun anew, as somebody emptied it.

    A process that is new to a store takes it as it is: a store that has just been set up has lost nothing.

    ``clock`` tells monotonic seconds.
    """

    def __init__(self, *, by_address: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._by_address = by_address
        self._clock = clock
        self._histories: dict[str, tuple[bytes, bytes]] = {}
        self._first: list[float] = []
        self._begun: list[float] = []
        self._other_history_at = float("-inf")
        self.number = 0

    def on_connect(self, connection: Any) -> None:
        """Greet the server on a new connection of a thread's client, and look at its history."""
        connection.on_connect()
        try:
            connection.send_command("INFO", "server", "replication")
            self._found(connection, connection.read_response())
        except ResponseError:
            return

    async def aon_connect(self, connection: Any) -> None:
        """Do the same on a new connection of an event loop's client."""
        await connection.on_connect()
        try:
            await connection.send_command("INFO", "server", "replication")
            self._found(connection, await connection.read_response())
        except ResponseError:
            return

    def _found(self, connection: Any, info: bytes) -> None:
        facts = dict(line.split(b":", 1) for line in info.splitlines() if b":" in line)
        history = facts.get(b"run_id", b""), facts.get(b"master_replid", b"")
        was_replica = bool(facts.get(b"master_replid2", b"").strip(b"0"))
        address = f"{connection.host}:{connection.port}" if self._by_address else ""
        # No lock, which a forked process might find locked: to rise twice at once does no harm.
        known = self._histories.get(address)
        if (known is None and self._histories and was_replica) or known not in (None, history):
            self.number += 1
            self._other_history_at = self._clock()
        self._histories[address] = history

    @property
    def is_known(self) -> bool:
        """Whether it was asked before since when the store holds what it was told."""
        return bool(self._begun)

    def lost_lately(self, now: float, begun: list[float]) -> bool:
        """Say whether there was a loss in the last ``LOSS_GRACE`` seconds.

        ``begun`` says since when each partition holds what it was told, ``now`` is the server's.
        """
        known, self._begun = self._begun, begun
        if known and known != begun:
            self.number += 1
        self._first = self._first or begun
        anew = [
            instant for instant, first in zip(begun, self._first, strict=True) if instant != first
        ]
        # In either direction: a clock that was set back by an hour shall not make it last for an hour.
        is_young = any(abs(now - instant) < LOSS_GRACE for instant in anew)
        return is_young or self._clock() - self._other_history_at < LOSS_GRACE
