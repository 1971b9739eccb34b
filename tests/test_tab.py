import asyncio
import json

import pytest

from realtime_session import tab as tab_module
from realtime_session.protocol import CloseCode, Refresh
from realtime_session.tab import MAX_WAITING, Tab
from realtime_session.writer import Writer


class Peer:
    """The server's side of a socket. Reads at once, or only when told to."""

    def __init__(self):
        self.heard = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.error = None

    async def send(self, event):
        await self.reads.wait()
        if self.error:
            raise self.error
        self.heard.append(event["code"] if event["type"] == "websocket.close" else number(event))


def number(event):
    assert event["type"] == "websocket.send"
    return json.loads(event["text"])["at"]


def message(number):
    return Refresh(at=number, url="/")


@pytest.fixture
async def peer():
    return Peer()


@pytest.fixture
async def tab(peer):
    tab = Tab(peer.send, Writer())
    yield tab
    peer.reads.set()
    await tab.drop()


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_messages_come_in_their_order(tab, peer):
    for n in range(10):
        tab.push(message(n))
    await tab.flushed()
    assert peer.heard == list(range(10))


async def test_pushing_waits_for_nobody_and_there_is_one_writer(tab, peer):
    peer.reads.clear()
    for n in range(10):
        tab.push(message(n))
    await turns()
    assert peer.heard == []
    assert writers() == 1
    peer.reads.set()
    await tab.flushed()
    assert peer.heard == list(range(10))


async def test_idle_tab_holds_no_task(tab, peer):
    tab.push(message(1))
    await tab.flushed()
    await turns()
    assert writers() == 0
    tab.push(message(2))
    await tab.flushed()
    assert peer.heard == [1, 2]


async def test_nothing_to_send_is_flushed_at_once(tab):
    await tab.flushed()


async def test_close_comes_after_what_was_pushed_before_and_nothing_comes_after_it(tab, peer):
    peer.reads.clear()
    tab.push(message(1))
    tab.push(message(2))
    tab.close(CloseCode.ENDED)
    tab.push(message(3))
    tab.close(CloseCode.TOO_MUCH)
    assert tab.closed
    peer.reads.set()
    await tab.flushed()
    assert peer.heard == [1, 2, 4001]


@pytest.mark.parametrize(("waiting", "closed"), [(MAX_WAITING, False), (MAX_WAITING + 1, True)])
async def test_tab_that_leaves_too_many_messages_unread_is_closed(tab, peer, waiting, closed):
    peer.reads.clear()
    tab.push(message(0))
    await turns()
    # One is under way; the others wait.
    for n in range(waiting):
        tab.push(message(n + 1))
    assert tab.closed is closed
    assert len(tab._waiting) <= MAX_WAITING
    await turns()
    peer.reads.set()
    await tab.flushed()
    assert peer.heard == ([1013] if closed else list(range(waiting + 1)))


async def test_close_finds_room_even_if_everything_waits(tab, peer):
    peer.reads.clear()
    tab.push(message(0))
    await turns()
    for n in range(MAX_WAITING):
        tab.push(message(n))
    tab.close(CloseCode.ENDED)
    peer.reads.set()
    await tab.flushed()
    assert peer.heard[-1] == 4001
    assert len(peer.heard) == MAX_WAITING + 2


async def test_slow_reader_is_named_by_the_beginning_of_its_sid_only(tab, peer, caplog):
    caplog.set_level("INFO", logger="realtime_session.tab")
    tab.sid = "0123456789abcdef" * 2
    peer.reads.clear()
    for n in range(MAX_WAITING + 2):
        tab.push(message(n))
    assert "A tab of 01234567… reads too slowly" in caplog.text
    assert tab.sid not in caplog.text


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("closed"), LookupError()])
async def test_peer_that_is_gone_is_no_error(tab, peer, caplog, error):
    peer.error = error
    tab.push(message(1))
    tab.push(message(2))
    await tab.flushed()
    assert tab.closed
    tab.push(message(3))
    await turns()
    assert writers() == 0
    assert not [record for record in caplog.records if record.levelname != "DEBUG"]


async def test_dropping_sends_nothing_more_if_the_peer_went_by_itself(tab, peer):
    peer.reads.clear()
    tab.push(message(1))
    await turns()
    await tab.drop()
    tab.push(message(2))
    peer.reads.set()
    await turns()
    assert peer.heard == []
    assert writers() == 0


async def test_dropping_finishes_what_a_close_began(tab, peer):
    peer.reads.clear()
    tab.push(message(1))
    tab.close(CloseCode.ENDED)
    dropping = asyncio.create_task(tab.drop())
    await turns()
    assert not dropping.done()
    peer.reads.set()
    await dropping
    assert peer.heard == [1, 4001]


async def test_dropping_does_not_wait_for_ever(tab, peer, monkeypatch):
    monkeypatch.setattr(tab_module, "CLOSE_TIMEOUT", 0.001)
    peer.reads.clear()
    tab.close(CloseCode.ENDED)
    await tab.drop()
    assert writers() == 0


async def test_dropping_twice_does_no_harm(tab):
    await tab.drop()
    await tab.drop()


async def test_close_from_elsewhere_interrupts_the_application_and_its_own_does_not(peer):
    made = asyncio.get_running_loop().create_future()

    async def application():
        made.set_result(Tab(peer.send, Writer()))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "interrupted"

    running = asyncio.create_task(application())
    tab = await made
    tab.close(CloseCode.ENDED)
    assert await running == "interrupted"
    await tab.flushed()

    async def closes_by_itself():
        tab = Tab(peer.send, Writer())
        tab.close(CloseCode.NOT_SIGNED_IN)
        await tab.flushed()
        return "went on"

    assert await asyncio.create_task(closes_by_itself()) == "went on"
    assert peer.heard == [4001, 4401]


def writers():
    return sum(task.get_name() == "realtime-session-send" for task in asyncio.all_tasks())
