"""People with tabs on several processes: some go on working, the others sit there until their session ends.

All of them work until everybody has arrived, however long that takes; then ``sit`` lets the others stop.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.faults.tab import EXTEND, LongTab
from tests.faults.visits import Visitor, Visits
from tests.faults.waits import PERIOD, Waits

logger = logging.getLogger(__name__)

ACTIVITY = b'{"type":"activity"}'
CONNECTS_AT_ONCE = 50
ARRIVAL_TIMEOUT = 120.0
SIT_TIMEOUT = 30.0
TICK = 0.05


async def until(condition: Callable[[], bool], patience: float) -> bool:
    """Wait up to ``patience`` seconds for the condition to hold; say whether it does."""
    give_up_at = time.monotonic() + patience
    while time.monotonic() < give_up_at:
        if condition():
            return True
        await asyncio.sleep(TICK)
    return condition()


def _are_here(tabs: Sequence[LongTab]) -> bool:
    return all(tab.states or tab.told for tab in tabs)


@dataclass
class Person:
    sid: str
    session_key: str
    is_active: bool
    works: bool = True
    tabs: list[LongTab] = field(default_factory=list)

    @property
    def deadline_at(self) -> float:
        """By the store's clock, as far as any tab has been told."""
        return max(tab.deadline_at for tab in self.tabs)

    @property
    def connected(self) -> list[LongTab]:
        return [tab for tab in self.tabs if tab.connected_at]

    def sit(self) -> None:
        """Do something one last time, and then nothing any more."""
        self.works = False
        for tab in self.tabs:
            tab.stays = False
        self.connected[0].send(EXTEND)


class Crowd:
    """``pace`` are the seconds between two activities of one who works."""

    def __init__(self, ports: Sequence[int], pace: float, waits: Waits, slowness: float) -> None:
        self.ports = ports
        self.people: list[Person] = []
        self.began_at = time.time()
        self._pace = pace
        self._tasks: list[asyncio.Task[None]] = []
        self.waits = waits
        self.slowness = slowness
        self.visits: Visits | None = None
        self._steps: list[tuple[float, float]] = []
        self._outages: list[tuple[float, float, int | None]] = []
        self._run(self._act())
        self._run(self._watch_waits())

    @property
    def active(self) -> list[Person]:
        return [person for person in self.people if person.is_active]

    @property
    def idle(self) -> list[Person]:
        return [person for person in self.people if not person.is_active]

    @property
    def tabs(self) -> list[LongTab]:
        return [tab for person in self.people for tab in person.tabs]

    def add(
        self,
        logins: Sequence[tuple[str, str]],
        *,
        is_active: bool = False,
        works: bool = True,
        homes: Sequence[Sequence[int]] = ((0,),),
        probe: float | None = None,
    ) -> list[Person]:
        """Take in people; ``homes`` says, by turns, on which processes each of them opens a tab.

        Who does not even work until ``sit`` has the deadline of the login.
        """
        added = []
        for number, (sid, session_key) in enumerate(logins):
            person = Person(sid, session_key, is_active, works)
            for home in homes[number % len(homes)]:
                tab = LongTab(session_key, self._route(home), stays=works, probe=probe)
                person.tabs.append(tab)
            added.append(person)
        self.people += added
        return added

    def _route(self, home: int) -> Callable[[int], int]:
        # As a load balancer does: the next process where one does not answer.
        return lambda attempt: self.ports[(home + attempt) % len(self.ports)]

    async def arrive(self, people: Sequence[Person] | None = None) -> None:
        """Open the tabs and wait for the state in each."""
        tabs = [tab for person in people or self.people for tab in person.tabs]
        for start in range(0, len(tabs), CONNECTS_AT_ONCE):
            some = tabs[start : start + CONNECTS_AT_ONCE]
            for tab in some:
                self._run(tab.follow())
            assert await until(lambda some=some: _are_here(some), ARRIVAL_TIMEOUT)
        told = [(tab.told, f"{tab.troubles} errors") for tab in tabs if tab.told]
        assert not told, f"it took too long to connect: {told[:3]}"
        logger.info("%d tabs are here", len(tabs))

    def browse(self) -> None:
        """Let those who work ask for pages, too: see ``visits``."""
        visitors = [Visitor(person.sid, person.session_key) for person in self.active]
        self.visits = Visits(visitors, self.ports)
        self._run(self.visits.run())

    async def sit(self, spread: float = 0.0) -> None:
        """Let those who are not to work stop, within ``spread`` seconds; their timeouts run from there."""
        people = [person for person in self.idle if person.works]
        began = time.monotonic()
        before = {person.sid: person.deadline_at for person in people}
        for number, person in enumerate(people):
            await asyncio.sleep(began + spread * number / len(people) - time.monotonic())
            person.sit()
        moved = await until(lambda: all(p.deadline_at > before[p.sid] for p in people), SIT_TIMEOUT)
        assert moved, "not all could sit"
        logger.info("%d people sit", len(people))

    async def until_near(self, lead: float = 1.0) -> None:
        """Wait until the first of those who sit there is due, but for ``lead`` seconds."""
        first = min(person.deadline_at for person in self.idle)
        await asyncio.sleep(first - lead - time.time())
        logger.info("the first is nearly due")

    async def until_over(self, patience: float) -> None:
        """Wait until all that sit there have heard of their end, up to ``patience`` seconds past it."""
        last = max([time.time(), *(person.deadline_at for person in self.idle)])
        await until(
            lambda: all(tab.told for person in self.idle for tab in person.tabs),
            last + patience - time.time(),
        )

    async def until_back(self, patience: float) -> None:
        """Wait until the tabs of those who work are all connected, or ``patience`` seconds."""
        await until(
            lambda: all(tab.connected_at for person in self.active for tab in person.tabs), patience
        )

    async def leave(self) -> None:
        """Close all sockets."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        failed = [error for t in self._tasks if not t.cancelled() and (error := t.exception())]
        self._tasks.clear()
        if failed:
            raise failed[0]

    @contextmanager
    def outage(self, recovery: float = 0.0, port: int | None = None) -> Iterator[None]:
        """What was due within the block is due at its end, plus ``recovery`` seconds to notice it.

        With ``port``, only what tabs of that process are to hear; what is to happen is due as ever.
        """
        began_at = time.time()
        yield
        self._outages.append((began_at - 1, time.time() + recovery, port))

    def excused(self, instant: float, port: int | None = None) -> float:
        """Return the instant, or the end of the outage within which it was."""
        return max(
            instant,
            *(
                end
                for start, end, where in self._outages
                if start <= instant <= end and where in (None, port)
            ),
            instant,
        )

    def clock_stepped(self, by: float) -> None:
        """The store's clock was set, by so many seconds: deadlines come that much sooner or later."""
        now = time.time()
        self._steps.append((now, self.store_time(now) - now + by))
        start, end = sorted((self.store_time(now) - by, self.store_time(now)))
        self._outages.append((start - 1, end, None))

    def store_time(self, instant: float) -> float:
        """Return what the store's clock said at an instant of ours."""
        ahead = [by for at, by in self._steps if at <= instant]
        return instant + (ahead[-1] if ahead else 0.0)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _act(self) -> None:
        while True:
            working = [person for person in self.people if person.works]
            began = time.monotonic()
            for number, person in enumerate(working):
                if person.works and (connected := person.connected):
                    random.choice(connected).send(ACTIVITY)
                ahead = began + self._pace * number / len(working) - time.monotonic()
                if ahead > TICK / 2:
                    await asyncio.sleep(ahead)
            await asyncio.sleep(max(TICK, began + self._pace - time.monotonic()))

    async def _watch_waits(self) -> None:
        while True:
            self.waits.sample()
            await asyncio.sleep(PERIOD)
