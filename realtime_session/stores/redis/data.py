"""Where the Redis store's records and indexes are, and the parts that its plans are made of.

All keys of a call lie in one partition, whose number is their hash tag, so that a Cluster keeps them on one
node; a session's partition follows from its sid. A partition has its sessions' records (``session:<sid>``),
their tabs (``tabs:<sid>``: process to the end of its lease) and these sorted sets:

========  =======================  =====================================================
name      member                   score
========  =======================  =====================================================
sids      sid                      0; every record
users     user id, NUL, sid        0; records that were not ended
due       sid                      a lower bound of the deadline of what was not ended
ended     sid                      when it ended, or was last claimed; not finished
finished  sid, NUL, session key    when it ended; finished
keys      session key, NUL, sid    0; ended records
leases    sid                      a lower bound of the earliest end of a lease
========  =======================  =====================================================

and ``begun``, the instant at which it was first looked whether the partition had been emptied.
"""

from collections.abc import Callable, Iterable
from itertools import chain
from zlib import crc32

from ..base import Records
from .records import to_record, to_text
from .scripts import Call, Script
from .wire import Plan, Replies

PARTITIONS = 16
_CHUNK = 500
_GET, _PAST = Script("get"), Script("past")


def partition_of(sid: str) -> int:
    """Return the partition of a session: the same in every process and version."""
    return crc32(sid.encode("utf-8", "replace")) % PARTITIONS


def groups(sids: Iterable[str]) -> list[list[str]]:
    """Return the sids, each once, in groups of one partition each that are small enough for one call.

    Where there are none, it is one group of no session, so that there is a call that tells the time.
    """
    by_partition: dict[int, list[str]] = {}
    for sid in dict.fromkeys(sids):
        by_partition.setdefault(partition_of(sid), []).append(sid)
    cut = [
        held[start : start + _CHUNK]
        for held in by_partition.values()
        for start in range(0, len(held), _CHUNK)
    ]
    return cut or [[""]]


def merged(asked: list[list[str]], answers: Replies) -> tuple[float, Records]:
    """Return now and the records in the answers of a script to these groups."""
    records: Records = {}
    for group, (_, values) in zip(asked, answers, strict=True):
        records |= {
            sid: to_record(sid, value)
            for sid, value in zip(group, values, strict=True)
            if value is not None
        }
    return max(float(answer[0]) for answer in answers), records


class Data:
    """The keys that begin with ``prefix``, at the server's time or that of ``clock``, for tests."""

    def __init__(self, prefix: str, clock: Callable[[], float] | None) -> None:
        self._prefix = prefix
        self._clock = clock

    def now(self) -> str:
        """Return what tells a script the time."""
        return "" if self._clock is None else to_text(self._clock())

    def index(self, partition: int, name: str) -> str:
        """Return the key of a sorted set."""
        return f"{self._prefix}:{{{partition}}}:{name}"

    def session(self, sid: str) -> str:
        """Return the key of a record."""
        return self.index(partition_of(sid), f"session:{sid}")

    def tabs(self, sid: str) -> str:
        """Return the key of a session's tabs."""
        return self.index(partition_of(sid), f"tabs:{sid}")

    def call(
        self, script: Script, sids: list[str], *indexes: str, args: Iterable[str | bytes] = ()
    ) -> Call:
        """Return a call for sessions of one partition: its keys are the indexes, then the records."""
        return script.call(self._keys(sids, indexes, map(self.session, sids)), *args)

    def calls(
        self,
        script: Script,
        asked: list[list[str]],
        *indexes: str,
        how: Iterable[str | bytes] = (),
        each: Callable[[str], Iterable[str]] = lambda sid: [sid],
    ) -> list[Call]:
        """Return a call for each group, with the arguments ``how``, then those of ``each`` session."""
        return [
            self.call(script, group, *indexes, args=[*how, *chain.from_iterable(map(each, group))])
            for group in asked
        ]

    def call_with_tabs(
        self, script: Script, sids: list[str], *indexes: str, args: Iterable[str | bytes] = ()
    ) -> Call:
        """Return a call with the key of each session's tabs behind that of its record."""
        both = chain.from_iterable((self.session(sid), self.tabs(sid)) for sid in sids)
        return script.call(self._keys(sids, indexes, both), *args)

    def _keys(self, sids: list[str], indexes: Iterable[str], others: Iterable[str]) -> list[str]:
        partition = partition_of(sids[0])
        return [*(self.index(partition, name) for name in indexes), *others]

    def get(self, sids: Iterable[str]) -> Plan[tuple[float, Records]]:
        """Return now and the records."""
        asked = groups(sids)
        answers = yield self.calls(_GET, asked, how=[self.now()], each=lambda sid: [])
        return merged(asked, answers)

    def begun(self) -> Plan[tuple[float, list[float]]]:
        """Return now, and since when each partition holds what it was told: since now, if nobody noted it."""
        clock = self.calls(_GET, groups([]), how=[self.now()], each=lambda sid: [])
        keys = [self.index(n, "begun") for n in range(PARTITIONS)]
        questions = [Call(("GET", key)) for key in keys]
        (time, _), *found = yield [*clock, *questions]
        now = float(time)
        if None in found:
            # Not SET … NX GET, of which redis-py keeps the answer to itself.
            notes = [Call(("SET", key, to_text(now), "NX")) for key in keys]
            found = (yield [*notes, *questions])[PARTITIONS:]
        # Where there is none, it was emptied in between.
        return now, [now if begun is None else float(begun) for begun in found]

    def past(self, index: str, age: float, limit: int) -> Plan[list[str]]:
        """Return at most ``limit`` members with a score of at least ``age`` seconds ago, the lowest first."""
        args = self.now(), to_text(age), str(limit)
        answers = yield [_PAST.call([self.index(n, index)], *args) for n in range(PARTITIONS)]
        found = [
            (float(score), _decoded(member))
            for answer in answers
            for member, score in zip(answer[::2], answer[1::2], strict=True)
        ]
        return [member for _, member in sorted(found)[:limit]]

    def range(self, index: str, begin: str, end: str, *limit: str) -> Plan[list[str]]:
        """Return members by their names, from ``begin`` to ``end`` as ZRANGEBYLEX has them."""
        answers = yield [
            Call(("ZRANGEBYLEX", self.index(n, index), begin, end, *limit))
            for n in range(PARTITIONS)
        ]
        return [_decoded(member) for answer in answers for member in answer]

    def sids_behind(self, index: str, beginning: str) -> Plan[list[str]]:
        """Return the sids that stand behind ``beginning`` and a NUL."""
        members = yield from self.range(index, f"[{beginning}\0", f"({beginning}\1")
        return [member.rpartition("\0")[2] for member in members]


def _decoded(member: bytes) -> str:
    return member.decode()
