"""Whether the Redis server is still the one that was told and asked before."""

from typing import Any

from redis.exceptions import ResponseError


class Epoch:
    """``number`` rises when a new connection finds another history than those before it found.

    A server's history is that of its process (``run_id``, another one after a restart) and of its data
    (``master_replid``, another one after a failover). In a Cluster (``by_address``) each address has its own;
    one that is new tells of a failover if its server was a replica before (``master_replid2``). Where INFO is
    forbidden, nothing is known.
    """

    def __init__(self, *, by_address: bool) -> None:
        self._by_address = by_address
        self._histories: dict[str, tuple[bytes, bytes]] = {}
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
        self._histories[address] = history
