from multiprocessing import get_context

import pytest
from channels.layers import InMemoryChannelLayer

from realtime_session import nudges
from realtime_session.nudges import GROUP, MAX_QUEUED, MAX_SIDS, Inbox, Outbox


@pytest.fixture
async def layer():
    layer = InMemoryChannelLayer(capacity=1000)
    await layer.group_add(GROUP, "ear")
    return layer


async def received(layer):
    """All messages so far: number and sids."""
    messages = []
    while "ear" in layer.channels:
        message = await layer.receive("ear")
        messages.append((message["number"], message["sids"]))
    return messages


async def test_messages_are_numbered_and_beats_are_messages_too(layer):
    outbox = Outbox()
    outbox.add(["a", "b"])
    outbox.add(["b", "c"])
    await outbox.flush(layer)
    assert await outbox.beat(layer) == 2
    outbox.add(["d"])
    await outbox.flush(layer)
    assert await received(layer) == [(1, ["a", "b", "c"]), (2, []), (3, ["d"])]


async def test_nothing_is_sent_where_there_is_nothing(layer):
    await Outbox().flush(layer)
    assert await received(layer) == []


async def test_many_sids_are_sent_in_several_messages(layer):
    outbox = Outbox()
    sids = [str(number) for number in range(2 * MAX_SIDS + 1)]
    outbox.add(sids)
    await outbox.flush(layer)
    messages = await received(layer)
    assert [len(sids) for _, sids in messages] == [MAX_SIDS, MAX_SIDS, 1]
    assert [sid for _, some in messages for sid in some] == sids


async def test_message_that_failed_leaves_a_gap_and_the_rest_is_kept(layer):
    class Failing(InMemoryChannelLayer):
        async def group_send(self, group, message):
            raise ConnectionError

    outbox = Outbox()
    outbox.add([str(number) for number in range(MAX_SIDS + 1)])
    with pytest.raises(ConnectionError):
        await outbox.flush(Failing())
    await outbox.flush(layer)
    assert await received(layer) == [(2, [str(MAX_SIDS)])]


async def test_more_than_can_be_kept_leaves_a_gap(layer):
    outbox = Outbox()
    outbox.add(str(number) for number in range(MAX_QUEUED))
    outbox.add(["one too many"])
    outbox.add(["next"])
    await outbox.flush(layer)
    assert await received(layer) == [(2, ["next"])]


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [
        ([1, 2, 3], []),
        ([7, 8], []),
        ([7, 9], [9]),
        ([1, 3, 2, 4], [3]),
        ([1, 1, 2], []),
        ([5, 1, 2, 6], []),
    ],
    ids=["in order", "joined late", "one lost", "one late", "one doubled", "old ones"],
)
def test_missing_numbers_are_noticed(numbers, missing):
    inbox = Inbox()
    assert [number for number in numbers if inbox.misses("sender", number)] == missing


def test_senders_are_counted_apart():
    inbox = Inbox()
    assert not inbox.misses("a", 5)
    assert not inbox.misses("b", 1)
    assert not inbox.misses("a", 6)
    assert inbox.misses("b", 3)


def test_senders_that_were_not_heard_for_long_are_forgotten(monkeypatch):
    monkeypatch.setattr(nudges, "MAX_SENDERS", 2)
    inbox = Inbox()
    for sender in "abac":
        inbox.misses(sender, 1)
    assert list(inbox._last) == ["a", "c"]


def test_group_name_is_one_that_every_layer_takes():
    assert GROUP.replace("-", "").isalnum()
    assert len(GROUP) < 100


def test_origin_is_the_same_in_a_process_and_another_in_its_fork():
    assert nudges.origin() == nudges.origin()
    with get_context("fork").Pool(1) as pool:
        assert pool.apply(nudges.origin) != nudges.origin()
