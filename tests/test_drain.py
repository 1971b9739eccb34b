"""SIGTERM: nothing that people did is lost by a restart, and no server is kept from stopping."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from websockets.asyncio.client import ClientConnection

from realtime_session import drain
from realtime_session.drain import Drain
from realtime_session.hub import Hub
from realtime_session.tab import Tab
from tests.servers import Server, hear
from tests.test_servers import close_code, every_server

BROWSERS = 10
TABS = 5
EXIT_WITHIN = 10.0
CODES = {"daphne": 1000, "uvicorn": 1012, "hypercorn": 1012, "granian": 1012}
EXITS = {"daphne": 0, "uvicorn": -signal.SIGTERM, "hypercorn": 0, "granian": 0}
Start = Callable[..., Server]


async def act(tab: ClientConnection) -> None:
    """Activity that the server has read, and not written yet."""
    await tab.send('{"type": "activity"}')
    await tab.send('{"type": "sync"}')
    assert (await hear(tab))["type"] == "state"


async def busy_tabs(server: Server) -> list[ClientConnection]:
    browsers = [server.browser().sign_in() for _ in range(BROWSERS)]
    tabs = [await browser.tab() for browser in browsers for _ in range(TABS)]
    for tab in tabs:
        await hear(tab)
    await asyncio.sleep(0.5)
    return tabs


def assert_that_all_was_written(server: Server, since: float) -> None:
    rows = server.sql("SELECT last_activity_at, closing_at FROM realtime_session_monitoredsession")
    assert len(rows) == BROWSERS
    assert all(last_activity_at >= since for last_activity_at, _ in rows)
    # A restart is no closing: presence is left to its lease.
    assert all(closing_at is None for _, closing_at in rows)
    assert "realtime_session" not in server.log.read_text()


@pytest.mark.parametrize("name", CODES)
async def test_server_that_is_stopped_writes_what_people_did_and_says_when_it_goes(
    start: Start, name: str
) -> None:
    server = start(name, {"IDLE_TIMEOUT": 600, "TAB_CLOSE_GRACE": 60})
    tabs = await busy_tabs(server)
    before = time.time()
    await asyncio.gather(*(act(tab) for tab in tabs))
    asked_at = time.monotonic()
    status = await asyncio.to_thread(server.stop)
    assert time.monotonic() - asked_at < EXIT_WITHIN
    assert status == EXITS[name]
    await asyncio.gather(*(tab.wait_closed() for tab in tabs))
    assert Counter(tab.close_code for tab in tabs) == {CODES[name]: len(tabs)}
    assert_that_all_was_written(server, before)
    assert "Traceback" not in server.log.read_text()


async def test_workers_of_hypercorn_write_what_people_did_and_stop_when_they_can(
    start: Start,
) -> None:
    server = start("hypercorn", {"IDLE_TIMEOUT": 600}, options=("--workers", "1"))
    tabs = await busy_tabs(server)
    before = time.time()
    await asyncio.gather(*(act(tab) for tab in tabs))
    server.send(signal.SIGTERM)
    if sys.version_info >= (3, 12):
        # They are told without a signal, and wait for their tabs without end:
        # https://github.com/pgjones/hypercorn/issues/308
        await asyncio.sleep(EXIT_WITHIN)
        assert server.is_running
        await asyncio.gather(*(tab.close() for tab in tabs))
    assert await asyncio.to_thread(server.stop) == 0
    await asyncio.gather(*(tab.wait_closed() for tab in tabs))
    assert_that_all_was_written(server, before)


@every_server
async def test_store_that_is_down_closes_a_new_socket_on_every_server(
    start: Start, name: str
) -> None:
    server = start(name, {"IDLE_TIMEOUT": 600})
    browser = server.browser().sign_in()
    table = "realtime_session_monitoredsession"
    server.sql(f"ALTER TABLE {table} RENAME TO lost")
    async with browser.tab() as tab:
        assert (await hear(tab))["code"] == "unavailable"
        assert await close_code(tab) == (1000 if name == "daphne" else 1013)


async def test_idle_browsers_keep_no_server_from_stopping(start: Start) -> None:
    server = start("uvicorn", {"IDLE_TIMEOUT": 600})
    browser = server.browser().sign_in()
    tab = await browser.tab(close_timeout=0.1)
    await hear(tab)
    tab.transport.pause_reading()
    asked_at = time.monotonic()
    await asyncio.to_thread(server.stop)
    assert time.monotonic() - asked_at < EXIT_WITHIN
    tab.transport.abort()


class Work:
    """What is to be done before the server stops; done when it is told so."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self) -> None:
        self.began.set()
        await self.may_end.wait()


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The signals that reach the server's handler."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    monkeypatch.setattr(drain, "_refuses_until", float("-inf"))
    yield heard
    signal.signal(signal.SIGTERM, before)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def wait_until(holds: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.01)


async def test_server_hears_the_signal_once_the_work_is_done(heard: list[int]) -> None:
    work = Work()
    Drain(work).start()
    assert not drain.is_stopping()
    terminate()
    await work.began.wait()
    assert drain.is_stopping()
    assert heard == []
    work.may_end.set()
    await wait_until(lambda: heard)
    assert heard == [signal.SIGTERM]


async def test_second_signal_is_not_kept_waiting(heard: list[int]) -> None:
    work = Work()
    Drain(work).start()
    terminate()
    await work.began.wait()
    terminate()
    await wait_until(lambda: heard)


async def test_work_that_never_ends_or_fails_keeps_the_server_from_nothing(
    heard: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "DRAIN_TIMEOUT", 0.01)
    Drain(Work()).start()
    terminate()
    await wait_until(lambda: heard)


async def test_handlers_of_the_loop_hear_it_afterwards_and_other_signals_at_once(
    heard: list[int],
) -> None:
    loop, told = asyncio.get_running_loop(), []
    for number in (signal.SIGTERM, signal.SIGUSR1):
        loop.add_signal_handler(number, told.append, number)
    work = Work()
    Drain(work).start()
    terminate()
    await work.began.wait()
    os.kill(os.getpid(), signal.SIGUSR1)
    await wait_until(lambda: told)
    assert told == [signal.SIGUSR1]
    work.may_end.set()
    await wait_until(lambda: len(told) == 2)
    assert told[1] == signal.SIGTERM
    for number in (signal.SIGTERM, signal.SIGUSR1):
        loop.remove_signal_handler(number)


async def test_signal_is_given_back_to_whoever_had_it(heard: list[int]) -> None:
    handler, fd = signal.getsignal(signal.SIGTERM), signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(fd)
    one = Drain(Work())
    one.start()
    assert signal.getsignal(signal.SIGTERM) is not handler
    one.stop()
    one.stop()
    assert signal.getsignal(signal.SIGTERM) is handler
    assert signal.set_wakeup_fd(fd) == fd
    terminate()
    assert heard == [signal.SIGTERM]


async def test_handler_that_was_set_meanwhile_stays(heard: list[int]) -> None:
    one = Drain(Work())
    one.start()
    others: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: others.append(number))
    one.stop()
    terminate()
    assert others == [signal.SIGTERM]


async def test_signal_is_heard_although_the_loop_has_taken_its_descriptor_back(
    heard: list[int],
) -> None:
    loop, work = asyncio.get_running_loop(), Work()
    Drain(work).start()
    loop.add_signal_handler(signal.SIGUSR1, lambda: None)
    terminate()
    await asyncio.wait_for(work.began.wait(), 5)
    work.may_end.set()
    await wait_until(lambda: heard)
    loop.remove_signal_handler(signal.SIGUSR1)


async def test_forked_process_has_its_signals_for_itself(heard: list[int]) -> None:
    handler, work = signal.getsignal(signal.SIGTERM), Work()
    one = Drain(work)
    one.start()
    child = os.fork()
    if not child:
        is_given_back = signal.getsignal(signal.SIGTERM) is handler
        terminate()
        os._exit(0 if is_given_back and heard == [signal.SIGTERM] else 1)
    assert await asyncio.to_thread(os.waitpid, child, 0) == (child, 0)
    await asyncio.sleep(0.05)
    assert not work.began.is_set()
    assert not drain.is_stopping()
    one.stop()


async def test_next_hub_of_the_loop_gives_back_what_the_server_had(heard: list[int]) -> None:
    handler = signal.getsignal(signal.SIGTERM)

    async def nothing(event: object) -> None:
        pass

    first = Hub.attach()
    first._sockets -= 1
    first._stop_if_idle()
    second = Hub.attach()
    assert second is not first
    await asyncio.wait_for(first._stopper, 5)
    assert signal.getsignal(signal.SIGTERM) is not handler
    await second.detach(Tab(nothing, second.writer))
    assert signal.getsignal(signal.SIGTERM) is handler
    assert signal.set_wakeup_fd(-1) == -1


async def test_loop_that_reads_no_sockets_does_without(
    heard: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_reader(*arguments: object) -> None:
        # As the default loop of Windows does.
        raise NotImplementedError

    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", add_reader)
    one = Drain(Work())
    one.start()
    one.stop()
    assert signal.getsignal(signal.SIGTERM) is handler


async def test_signal_that_is_ignored_stays_so(heard: list[int]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Drain(Work()).start()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


async def test_nothing_is_taken_outside_of_the_main_thread(heard: list[int]) -> None:
    handler = signal.getsignal(signal.SIGTERM)

    async def start_and_stop() -> None:
        one = Drain(Work())
        one.start()
        assert signal.getsignal(signal.SIGTERM) is handler
        one.stop()

    thread = threading.Thread(target=lambda: asyncio.run(start_and_stop()))
    thread.start()
    thread.join()
