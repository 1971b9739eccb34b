import asyncio

import pytest

from realtime_session.protocol import CloseCode, Refresh
from realtime_session.tab import MAX_WAITING, Tab
from realtime_session.writer import BURST, Writer


class Peer:
    """The server's side of a socket, whose client reads at once, or not before it is told to."""

    def __init__(self, writer):
        self.heard = 0
        self.reads = asyncio.Event()
        self.reads.set()
        self.tab = Tab(self.send, writer)

    async def send(self, event):
        if not self.reads.is_set():
            await self.reads.wait()
        self.heard += 1


@pytest.fixture
async def writer():
    return Writer()


@pytest.fixture
async def peers(writer):
    peers = [Peer(writer) for _ in range(3 * BURST)]
    yield peers
    for peer in peers:
        peer.reads.set()
        await peer.tab.drop()
    assert tasks() == 0


def push(peers):
    for peer in peers:
        peer.tab.push(Refresh(at=1, url="/"))


async def turns(count=10):
    for _ in range(count):
        await asyncio.sleep(0)


def tasks():
    return sum(task.get_name() == "realtime-session-send" for task in asyncio.all_tasks())


async def test_many_tabs_are_told_by_one_task_at_a_time(peers):
    push(peers)
    assert tasks() == 1
    while not all(peer.heard for peer in peers):
        await asyncio.sleep(0)
        assert tasks() <= 1
    assert [peer.heard for peer in peers] == [1] * len(peers)


async def test_the_loop_gets_on_with_something_else_after_each_burst(peers):
    push(peers)
    heard = []
    while not heard or heard[-1] < len(peers):
        await asyncio.sleep(0)
        heard.append(sum(peer.heard for peer in peers))
    assert heard == [BURST, 2 * BURST, 3 * BURST]


@pytest.mark.parametrize("slow", [[0], [0, 1, 2], [5, BURST - 1, BURST, 2 * BURST], [-1]])
async def test_slow_readers_hold_up_nobody_and_cost_one_task_each(peers, slow):
    slow_ones = [peers[n] for n in slow]
    for peer in slow_ones:
        peer.reads.clear()
    for count in range(1, 4):
        push(peers)
        await turns()
        assert all(peer.heard == count for peer in peers if peer not in slow_ones)
        assert tasks() == len(slow)
    for peer in slow_ones:
        peer.reads.set()
    await turns()
    assert [peer.heard for peer in peers] == [3] * len(peers)
    assert tasks() == 0


async def test_all_may_be_slow_at_once(peers):
    for peer in peers:
        peer.reads.clear()
    push(peers)
    await turns(len(peers) + 1)
    assert tasks() == len(peers)
    for peer in peers:
        peer.reads.set()
    await turns()
    assert [peer.heard for peer in peers] == [1] * len(peers)


async def test_tabs_that_go_in_mid_send_leave_the_others_theirs(peers):
    slow_ones = peers[:3]
    for peer in slow_ones:
        peer.reads.clear()
    push(peers)
    await turns(1)
    await asyncio.gather(*(peer.tab.drop() for peer in slow_ones))
    await turns()
    assert [peer.heard for peer in peers] == [0] * 3 + [1] * (len(peers) - 3)
    assert tasks() == 0


async def test_tab_that_goes_before_its_turn_hears_nothing(peers):
    push(peers)
    await peers[-1].tab.drop()
    await turns()
    assert peers[-1].heard == 0
    assert all(peer.heard for peer in peers[:-1])


async def test_too_slow_tab_is_told_so_in_a_turn_of_its_own(peers):
    slow, *others = peers
    slow.reads.clear()
    push(peers)
    await turns()
    for _ in range(MAX_WAITING + 1):
        push([slow])
    assert slow.tab.code is CloseCode.TRY_AGAIN_LATER
    push(others)
    await turns()
    assert all(peer.heard == 2 for peer in others)
    slow.reads.set()
    await slow.tab.flushed()
    # The close alone: what it left unread is gone.
    assert slow.heard == 1
