"""Which tabs are here, when the store is asked about their sessions, and what is done then."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from django.test import override_settings

from realtime_session.findings import Found
from realtime_session.policy import EndReason
from realtime_session.protocol import CloseCode
from realtime_session.stores import BaseStore, get_store
from realtime_session.tab import Tab
from realtime_session.threads import DatabaseThreads
from realtime_session.watch import (
    CLOCK_GRAIN,
    LOOK_AGAIN,
    LOOK_IN_WARNING,
    NEAR_WARNING,
    TooManyTabsError,
    Watch,
)
from realtime_session.writer import Writer
from tests.stores.records import T0, Clock, record, sid

Heard = list[Any]
PATIENCE = 10
SOON = 0.5
"""Seconds that a busy machine may take between two lines of a test."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Iterator[BaseStore]:
    backend = "realtime_session.stores.memory.MemoryStore"
    setting = {"STORE": {"BACKEND": backend, "OPTIONS": {"clock": clock}}, "MAX_TABS": 2}
    with override_settings(REALTIME_SESSION=setting):
        yield get_store()


@pytest.fixture
async def watch(store: BaseStore) -> AsyncIterator[Watch]:
    threads = DatabaseThreads(1, "realtime-session-tests")
    watch = Watch(threads, lambda: None)
    watch.store.start()
    yield watch
    watch.clear()
    await watch.store.stop()
    threads.stop()


@pytest.fixture
async def make_tab() -> AsyncIterator[Callable[[], Awaitable[tuple[Tab, Heard]]]]:
    """Makes tabs, each with what it hears: types of messages, and the close code."""
    sockets: list[asyncio.Task[None]] = []
    writer = Writer()

    async def make() -> tuple[Tab, Heard]:
        heard: Heard = []
        made: asyncio.Future[Tab] = asyncio.get_running_loop().create_future()

        async def send(event: dict[str, Any]) -> None:
            is_close = event["type"] == "websocket.close"
            heard.append(event["code"] if is_close else json.loads(event["text"])["type"])

        async def serve() -> None:
            # A task of its own: a tab that was closed cancels the one that made it.
            tab = Tab(send, writer)
            made.set_result(tab)
            try:
                await asyncio.Event().wait()
            finally:
                await tab.drop()

        sockets.append(asyncio.create_task(serve()))
        return await made, heard

    yield make
    for socket in sockets:
        socket.cancel()
    await asyncio.gather(*sockets, return_exceptions=True)


async def join(watch: Watch, tab: Tab, number: int = 0) -> Found:
    found = await watch.store.find(sid(number))
    assert found is not None
    watch.join(tab, found)
    return found


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # nobody sets an event
            await asyncio.sleep(0.01)


def next_look(watch: Watch, number: int = 0) -> float:
    """In how many seconds the session is looked at, or ended."""
    return watch._scheduler._deadlines[sid(number)] - asyncio.get_running_loop().time()


async def test_a_nudge_while_a_tab_arrives_is_not_missed(watch, store, make_tab):
    store.open(record())
    tab, heard = await make_tab()
    with watch.arriving(tab):
        found = await watch.store.find(sid())
        store.end(sid(), EndReason.REVOKED)
        watch.want_looks([sid()])
        watch.join(tab, found)
    await eventually(lambda: heard == ["expired", CloseCode.ENDED])
    assert watch.tabs == 0


async def test_tabs_beyond_the_limit_are_refused_and_not_kept(watch, store, make_tab):
    store.open(record())
    tabs = [(await make_tab())[0] for _ in range(3)]
    await join(watch, tabs[0])
    await join(watch, tabs[1])
    with pytest.raises(TooManyTabsError):
        await join(watch, tabs[2])
    assert watch.tabs == 2
    watch.leave(tabs[2], comes_back=False)
    assert watch.tabs == 2


async def test_the_last_tab_takes_its_session_along(watch, store, make_tab):
    store.open(record())
    tabs = [(await make_tab())[0] for _ in range(2)]
    for tab in tabs:
        await join(watch, tab)
    watch.leave(tabs[0], comes_back=False)
    assert (watch.any_sid(), len(watch.records()), len(watch._scheduler)) == (sid(), 1, 1)
    watch.leave(tabs[1], comes_back=False)
    watch.leave(tabs[1], comes_back=False)
    assert (watch.any_sid(), watch.records(), len(watch._scheduler)) == (None, [], 0)
    assert watch.known(sid()) is None


async def test_a_session_is_looked_at_when_its_warning_is_due(watch, store, make_tab):
    store.open(record())
    await join(watch, (await make_tab())[0])
    assert next_look(watch) == pytest.approx(80 + CLOCK_GRAIN, abs=SOON)
    near_in = watch._sessions[sid()].near_at - asyncio.get_running_loop().time()
    assert near_in == pytest.approx(80 - NEAR_WARNING, abs=SOON)


@pytest.mark.parametrize("expires_in", [20.0, 1.5])
async def test_a_session_is_looked_at_every_second_of_its_warning(
    watch, store, clock, make_tab, expires_in
):
    store.open(record())
    clock.advance(100 - expires_in)
    await join(watch, (await make_tab())[0])
    assert next_look(watch) == pytest.approx(LOOK_IN_WARNING + CLOCK_GRAIN, abs=SOON)


async def test_a_session_is_looked_at_at_its_end_if_that_is_sooner(watch, store, clock, make_tab):
    store.open(record())
    clock.advance(99.99)
    await join(watch, (await make_tab())[0])
    assert next_look(watch) <= 0.01 + CLOCK_GRAIN


async def test_activity_moves_no_timer_but_for_that_of_a_warning(watch, store, clock, make_tab):
    store.open(record())
    tab, heard = await make_tab()
    await join(watch, tab)
    before = watch._scheduler._deadlines[sid()]
    watch.touched(Found(record(last_activity_at=T0 + 50), T0 + 50))
    assert watch._scheduler._deadlines[sid()] == before
    watch.looked(Found(record(), T0 + 90))
    watch.touched(Found(record(last_activity_at=T0 + 90), T0 + 90))
    assert next_look(watch) > LOOK_IN_WARNING + SOON
    await eventually(lambda: heard == ["warning", "extended"])


async def test_an_end_that_does_not_come_about_is_tried_again(watch, store, clock, make_tab):
    store.open(record())
    tab, heard = await make_tab()
    await join(watch, tab)
    # The store's clock says otherwise.
    watch.looked(Found(record(), T0 + 100))
    assert 0 < next_look(watch) <= LOOK_AGAIN
    await eventually(lambda: next_look(watch) > LOOK_AGAIN)
    assert heard == []
    clock.advance(100)
    watch.looked(Found(record(), T0 + 100))
    await eventually(lambda: heard == ["expired", CloseCode.ENDED])


async def test_only_tabs_of_the_sessions_that_it_is_asked_for_hear_of_trouble(
    watch, store, make_tab
):
    tabs = [await make_tab() for _ in range(2)]
    for number, (tab, _) in enumerate(tabs):
        store.open(record(number))
        await join(watch, tab, number)
    for _ in range(2):
        watch.unavailable([sid(0), sid(9)])
    await eventually(lambda: [heard for _, heard in tabs] == [["error"], []])


async def test_all_tabs_are_closed_those_that_arrive_too(watch, store, make_tab):
    store.open(record())
    (here, here_heard), (arriving, arriving_heard) = await make_tab(), await make_tab()
    await join(watch, here)
    with watch.arriving(arriving):
        watch.close_all(CloseCode.SERVICE_RESTART)
    await eventually(lambda: here_heard == arriving_heard == [CloseCode.SERVICE_RESTART])
