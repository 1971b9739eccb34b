"""The store contract on Redis.

Each operation is a plan, written once: a generator that yields calls, all sent in one round trip, and is
sent their replies. ``clients`` runs it for threads and for event loops. What a script decides, it decides
as ``policy`` does; see ``lua/policy.lua``.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from ...policy import DAY, EndReason, Policy, Record
from ..base import BaseStore, Records
from ..rows import POLICY_COLUMNS, fitted
from .clients import Clients
from .data import Data, groups, merged
from .options import Options
from .records import BLANK, position, to_text, to_value
from .scripts import Script
from .wire import Plan

P = ParamSpec("P")
T = TypeVar("T")

_PAGE = 500
_SHORTEST_TOMBSTONE = 2 * DAY
_OPEN, _TOUCH, _END, _FINISH, _CHANGE = map(Script, ("open", "touch", "end", "finish", "change"))
_OVERDUE, _CLAIM, _PURGE = map(Script, ("overdue", "claim", "purge"))
_JOIN, _RENEW, _LEAVE = map(Script, ("join", "renew", "leave"))


def planned(
    plan: "Callable[Concatenate[RedisStore, P], Plan[T]]",
) -> "Callable[Concatenate[RedisStore, P], T]":
    """Make a plan an operation; its async twin runs the plan that this one wraps."""

    @wraps(plan)
    def operation(self: "RedisStore", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._clients.run(self._after_first(plan(self, *args, **kwargs)))

    return operation


class RedisStore(BaseStore):
    """The contract on Redis 7.0 and newer and on Valkey: one server, one under Sentinel, or a Cluster.

    The clock is the server's. In a Cluster each session goes by that of the node which holds it, so the
    nodes' clocks must agree. ``prefix`` begins every key; ``clock`` replaces the clock by a callable that
    returns epoch seconds, for tests. All other options are those of ``Options``.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        prefix: str = "realtime-session",
        clock: Callable[[], float] | None = None,
        **options: Any,
    ) -> None:
        if not prefix or set(prefix) & set("{}"):
            # A brace would make a hash tag of its own.
            raise ValueError(f"prefix {prefix!r} is empty or has a brace in it")
        self._data = Data(prefix, clock)
        self._clients = Clients(Options(url, **options))

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> None:
        cls(**options)

    @property
    def epoch(self) -> int:
        return self._clients.epoch.number

    @planned
    def lost_lately(self) -> Plan[bool]:
        return self._clients.epoch.lost_lately(*(yield from self._data.begun()))

    @planned
    def open(
        self, record: Record, as_of: float | None = None, only_missing: bool = False
    ) -> Plan[Record | None]:
        asked = [[record.sid]]
        args: list[str | bytes] = [self._data.now(), record.sid, to_text(as_of)]
        args += ["1" if only_missing else "", to_value(fitted(record))]
        answers = yield [self._data.call(_OPEN, asked[0], "sids", "due", "users", args=args)]
        return merged(asked, answers)[1].get(record.sid)

    @planned
    def get(self, sids: Iterable[str]) -> Plan[tuple[float, Records]]:
        return (yield from self._data.get(sids))

    @planned
    def touch(
        self, ages: Mapping[str, float], extend: bool = False, page: bool = False
    ) -> Plan[tuple[float, Records]]:
        asked = groups(ages)
        how = self._data.now(), "1" if extend else "", "1" if page else ""
        answers = yield self._data.calls(
            _TOUCH, asked, how=how, each=lambda sid: [to_text(ages.get(sid, 0))]
        )
        return merged(asked, answers)

    @planned
    def end(self, sid: str, reason: EndReason) -> Plan[Record | None]:
        return (yield from self._end([sid], reason.value)).get(sid)

    @planned
    def end_due(self, sids: Iterable[str]) -> Plan[list[Record]]:
        return list((yield from self._end(sids, "")).values())

    def _end(self, sids: Iterable[str], reason: str) -> Plan[Records]:
        asked = groups(sids)
        how = self._data.now(), reason, _token(), BLANK
        answers = yield self._data.calls(*(_END, asked, "due", "ended", "users", "keys"), how=how)
        return merged(asked, answers)[1]

    @planned
    def overdue(self, limit: int) -> Plan[list[str]]:
        while True:
            found = yield from self._data.past("due", 0, limit)
            if not found:
                return []
            answers = yield self._data.calls(_OVERDUE, groups(found), "due", how=[self._data.now()])
            due = {sid.decode() for answer in answers for sid in answer}
            if due:
                return [sid for sid in found if sid in due]

    @planned
    def claim_unfinished(self, age: float, limit: int) -> Plan[list[Record]]:
        found = yield from self._data.past("ended", age, limit)
        asked = groups(found)
        how = self._data.now(), to_text(age), _token(), BLANK
        answers = yield self._data.calls(_CLAIM, asked, "ended", how=how)
        return list(merged(asked, answers)[1].values())

    @planned
    def finish(self, sids: Iterable[str]) -> Plan[None]:
        how = [to_text(_SHORTEST_TOMBSTONE)]
        yield self._data.calls(_FINISH, groups(sids), "ended", "finished", how=how)

    @planned
    def bind(
        self, sid: str, session_key: str, cookie_age: float, credentials: str = ""
    ) -> Plan[None]:
        yield from self._change(
            sid,
            ("session_key", "text", session_key),
            ("credentials", "text", credentials),
            ("cookie_age", "number", to_text(cookie_age)),
            ("saved_at", "from now", "0"),
        )

    @planned
    def set_expiry(
        self, sid: str, idle_cap: float | None, fixed_end_in: float | None
    ) -> Plan[None]:
        yield from self._change(
            sid,
            ("idle_cap", "none" if idle_cap is None else "number", to_text(idle_cap)),
            ("fixed_end_at", "none" if fixed_end_in is None else "from now", to_text(fixed_end_in)),
        )

    @planned
    def set_policy(self, sid: str, policy: Policy) -> Plan[bool]:
        facts = {name: getattr(policy, name) for name in POLICY_COLUMNS}
        changes = [
            (name, "none" if fact is None else "number", to_text(fact))
            for name, fact in facts.items()
        ]
        return (yield from self._change(sid, *changes))

    def _change(self, sid: str, *changes: tuple[str, str, str]) -> Plan[bool]:
        args = [self._data.now(), sid]
        for name, kind, value in changes:
            args += [position(name), kind, value]
        [found] = yield [self._data.call(_CHANGE, [sid], "due", args=args)]
        return bool(found)

    @planned
    def join(self, sid: str, process: str, lease: float) -> Plan[None]:
        args = self._data.now(), sid, process, to_text(lease)
        yield [self._data.call_with_tabs(_JOIN, [sid], "leases", args=args)]

    @planned
    def leave(self, sid: str, process: str) -> Plan[None]:
        yield from self._leave([sid], process)

    @planned
    def renew(self, sids: Iterable[str], process: str, lease: float) -> Plan[None]:
        args = self._data.now(), process, to_text(lease)
        yield [_RENEW.call(map(self._data.tabs, group), *args) for group in groups(sids)]

    @planned
    def close_lapsed(self) -> Plan[None]:
        while found := (yield from self._data.past("leases", 0, _PAGE)):
            yield from self._leave(found, "")

    def _leave(self, sids: Iterable[str], process: str) -> Plan[None]:
        how = self._data.now(), process
        yield [
            self._data.call_with_tabs(_LEAVE, group, "leases", "due", args=[*how, *group])
            for group in groups(sids)
        ]

    @planned
    def find_ended(self, session_key: str) -> Plan[Record | None]:
        if not session_key:
            return None
        found = yield from self._data.sids_behind("keys", session_key)
        _, records = yield from self._data.get(found)
        ended = [
            (record.ended_at, sid)
            for sid, record in records.items()
            if record.ended_at is not None and record.session_key == session_key
        ]
        return records[max(ended)[1]] if ended else None

    @planned
    def for_user(self, user_id: str) -> Plan[tuple[float, list[Record]]]:
        found = yield from self._data.sids_behind("users", user_id)
        now, records = yield from self._data.get(found)
        live = [r for r in records.values() if r.ended_at is None and r.user_id == user_id]
        return now, sorted(live, key=lambda record: record.started_at, reverse=True)

    @planned
    def all(self, after: str = "", limit: int = _PAGE) -> Plan[list[Record]]:
        while True:
            begin = f"({after}" if after else "-"
            found = yield from self._data.range("sids", begin, "+", "LIMIT", "0", str(limit))
            sids = sorted(found)[:limit]
            _, records = yield from self._data.get(sids)
            if records or not sids:
                return [records[sid] for sid in sids if sid in records]
            # Tombstones that have expired, and that nobody has purged.
            after = sids[-1]

    @planned
    def purge(self, age: float) -> Plan[int]:
        count = 0
        while found := (yield from self._data.past("finished", age, _PAGE)):
            named = {each[0]: each for each in (member.split("\0", 1) for member in found)}
            indexes, how = ("sids", "finished", "keys"), (self._data.now(), to_text(age))
            answers = yield self._data.calls(
                _PURGE, groups(named), *indexes, how=how, each=named.__getitem__
            )
            count += sum(answers)
        return count

    def start(self) -> None:
        self._clients.start()

    async def astop(self) -> None:
        await self._clients.astop()

    async def _run(self, operation: Callable[..., T], *args: Any) -> T:
        plan = operation.__func__.__wrapped__  # type: ignore[attr-defined]  # see ``planned``
        return await self._clients.arun(self._after_first(plan(self, *args)))

    def _after_first(self, plan: Plan[T]) -> Plan[T]:
        """Return the plan; the first of all asks since when the store holds what it was told."""
        if not self._clients.epoch.is_known:
            self._clients.epoch.lost_lately(*(yield from self._data.begun()))
        return (yield from plan)


def _token() -> str:
    """Return what tells a call that is sent again from another one, so that its winner still wins."""
    return secrets.token_hex(8)
