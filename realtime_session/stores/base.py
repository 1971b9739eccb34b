"""The store contract: where the truth about sessions is kept, and what every store promises.

Every operation is atomic for each record, idempotent and safe to retry. Instants are epoch seconds of
the store's own clock, which every answer carries as ``now``; callers say how long *ago* something was, so
that no process clock matters. A store that cannot answer raises StoreUnavailable, and nothing else.

A new store is one subclass and one line in the parameters of the contract suite in ``tests/stores``.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from ..policy import EndReason, Policy, Record
from .timing import measure

Records = dict[str, Record]
T = TypeVar("T")


class StoreUnavailable(Exception):  # noqa: N818  # named as in the protocol: error/unavailable
    """The store did not answer. What was asked may or may not have been done: ask again."""


class BaseStore(ABC):
    """The contract. Each operation has an async twin with the prefix ``a``."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        operations = {name for name in vars(BaseStore) if f"a{name}" in vars(BaseStore)}
        measure(cls, operations)

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> None:
        """Raise TypeError or ValueError, naming the option, for what no store could be made with.

        It connects to nothing.
        """
        inspect.signature(cls).bind(**options)

    @property
    def epoch(self) -> int:
        """What changes whenever the store may have lost what it was told: a restart, a failover.

        Costs nothing to ask: it is what the last answer showed.
        """
        return 0

    def lost_lately(self) -> bool:
        """Say whether the store may have lost something in the last seconds, as when it was emptied.

        A record that is missing then may be about to be told again. Whoever asks first after a loss
        notes when it was; ``epoch`` shows it to each process that asks.
        """
        return False

    @abstractmethod
    def open(
        self, record: Record, as_of: float | None = None, only_missing: bool = False
    ) -> Record | None:
        """Begin monitoring ``record``, or restart it where its sid is known; return it as stored.

        The record's instants are shifted so that ``as_of`` becomes the store's now (None: they are
        the store's already). Returns None, and changes nothing, where the sid has ended: an ended session
        is never revived. So it does with ``only_missing`` where the sid is known at all.
        """

    @abstractmethod
    def get(self, sids: Iterable[str]) -> tuple[float, Records]:
        """Return the store's now and the records found, ended ones included."""

    @abstractmethod
    def touch(
        self, ages: Mapping[str, float], extend: bool = False, page: bool = False
    ) -> tuple[float, Records]:
        """Note activity that was ``ages[sid]`` seconds ago; return now and the records as they *were*.

        What activity counts, and what ``extend`` and ``page`` mean, is ``policy.touched``; the caller applies
        it to the answer to learn what changed. With ``page``, ``paged_at`` and ``closing_at`` in the answer
        may be the new ones already.
        """

    @abstractmethod
    def end(self, sid: str, reason: EndReason) -> Record | None:
        """End a session: one caller wins and gets the ended record, every other one None."""

    @abstractmethod
    def end_due(self, sids: Iterable[str]) -> list[Record]:
        """End those that are past their deadline in the store, each for the reason that its deadline gives.

        Returns the ended records, in any order: each session has one caller who wins it.
        """

    @abstractmethod
    def overdue(self, limit: int) -> list[str]:
        """Return sids of at most ``limit`` sessions that are past their deadline and not ended."""

    @abstractmethod
    def claim_unfinished(self, age: float, limit: int) -> list[Record]:
        """Return at most ``limit`` ends that nobody finished within ``age`` seconds of the end or last claim.

        This is a claim: one caller gets each.
        """

    @abstractmethod
    def finish(self, sids: Iterable[str]) -> None:
        """Note that these ends were fully dealt with; sids that have not ended do no harm."""

    @abstractmethod
    def bind(self, sid: str, session_key: str, cookie_age: float, credentials: str = "") -> None:
        """Note that Django saved its session just now, under this key, for ``cookie_age`` seconds.

        An ended record is left as it is.
        """

    @abstractmethod
    def set_expiry(self, sid: str, idle_cap: float | None, fixed_end_in: float | None) -> None:
        """Note what the project set with ``set_expiry``: an idle timeout, an end in so many seconds, or none.

        An ended record is left as it is.
        """

    @abstractmethod
    def set_policy(self, sid: str, policy: Policy) -> bool:
        """Give a live session another policy; say whether there was one."""

    @abstractmethod
    def join(self, sid: str, process: str, lease: float) -> None:
        """Note that a tab of ``sid`` connected to ``process``, which will ``renew`` within ``lease`` seconds.

        What that means for the record is ``Record.joined``; a session past its deadline is left as it is.
        """

    @abstractmethod
    def leave(self, sid: str, process: str) -> None:
        """Note that ``process`` has no tab of ``sid`` any more: ``Record.left`` if no other process has."""

    @abstractmethod
    def renew(self, sids: Iterable[str], process: str, lease: float) -> None:
        """Note that ``process`` is alive and still holds tabs of these sessions."""

    @abstractmethod
    def close_lapsed(self) -> None:
        """Do for processes that no longer renew what they cannot: ``leave``, as of now."""

    @abstractmethod
    def find_ended(self, session_key: str) -> Record | None:
        """Return the ended record whose Django session had this key last, None if there is none.

        For a cookie whose Django session is gone: it says why.
        """

    @abstractmethod
    def for_user(self, user_id: str) -> tuple[float, list[Record]]:
        """Return now and the user's records that have not been ended, latest login first."""

    @abstractmethod
    def all(self, after: str = "", limit: int = 500) -> list[Record]:
        """Return a page of all records by sid, beginning behind the sid ``after``."""

    @abstractmethod
    def purge(self, age: float) -> int:
        """Delete finished records that ended over ``age`` seconds ago; return how many."""

    def on_commit(self, job: Callable[[], None]) -> None:
        """Call ``job`` once other processes can see what was written: at once, unless in a transaction.

        It is never called if the transaction is rolled back.
        """
        job()

    @abstractmethod
    async def _run(self, operation: Callable[..., T], *args: Any) -> T:
        """Run a sync operation for an event loop without blocking it."""

    def start(self) -> None:  # noqa: B027  # optional
        """The running event loop is going to use the store often: connections may be kept from here."""

    async def astop(self) -> None:  # noqa: B027  # optional
        """That event loop is done with the store: called as often as ``start``."""

    async def alost_lately(self) -> bool:
        """See ``lost_lately``."""
        return await self._run(self.lost_lately)

    async def aopen(
        self, record: Record, as_of: float | None = None, only_missing: bool = False
    ) -> Record | None:
        """See ``open``."""
        return await self._run(self.open, record, as_of, only_missing)

    async def aget(self, sids: Iterable[str]) -> tuple[float, Records]:
        """See ``get``."""
        return await self._run(self.get, sids)

    async def atouch(
        self, ages: Mapping[str, float], extend: bool = False, page: bool = False
    ) -> tuple[float, Records]:
        """See ``touch``."""
        return await self._run(self.touch, ages, extend, page)

    async def aend(self, sid: str, reason: EndReason) -> Record | None:
        """See ``end``."""
        return await self._run(self.end, sid, reason)

    async def aend_due(self, sids: Iterable[str]) -> list[Record]:
        """See ``end_due``."""
        return await self._run(self.end_due, sids)

    async def aoverdue(self, limit: int) -> list[str]:
        """See ``overdue``."""
        return await self._run(self.overdue, limit)

    async def aclaim_unfinished(self, age: float, limit: int) -> list[Record]:
        """See ``claim_unfinished``."""
        return await self._run(self.claim_unfinished, age, limit)

    async def afinish(self, sids: Iterable[str]) -> None:
        """See ``finish``."""
        await self._run(self.finish, sids)

    async def abind(
        self, sid: str, session_key: str, cookie_age: float, credentials: str = ""
    ) -> None:
        """See ``bind``."""
        await self._run(self.bind, sid, session_key, cookie_age, credentials)

    async def aset_expiry(
        self, sid: str, idle_cap: float | None, fixed_end_in: float | None
    ) -> None:
        """See ``set_expiry``."""
        await self._run(self.set_expiry, sid, idle_cap, fixed_end_in)

    async def aset_policy(self, sid: str, policy: Policy) -> bool:
        """See ``set_policy``."""
        return await self._run(self.set_policy, sid, policy)

    async def ajoin(self, sid: str, process: str, lease: float) -> None:
        """See ``join``."""
        await self._run(self.join, sid, process, lease)

    async def aleave(self, sid: str, process: str) -> None:
        """See ``leave``."""
        await self._run(self.leave, sid, process)

    async def arenew(self, sids: Iterable[str], process: str, lease: float) -> None:
        """See ``renew``."""
        await self._run(self.renew, sids, process, lease)

    async def aclose_lapsed(self) -> None:
        """See ``close_lapsed``."""
        await self._run(self.close_lapsed)

    async def afind_ended(self, session_key: str) -> Record | None:
        """See ``find_ended``."""
        return await self._run(self.find_ended, session_key)

    async def afor_user(self, user_id: str) -> tuple[float, list[Record]]:
        """See ``for_user``."""
        return await self._run(self.for_user, user_id)

    async def aall(self, after: str = "", limit: int = 500) -> list[Record]:
        """See ``all``."""
        return await self._run(self.all, after, limit)

    async def apurge(self, age: float) -> int:
        """See ``purge``."""
        return await self._run(self.purge, age)
