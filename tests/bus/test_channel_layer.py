import asyncio
import gc
import logging
import warnings

import pytest
from channels.layers import get_channel_layer

from realtime_session import channel_layer

from .conftest import CORE, PUBSUB, assert_disconnected

GROUP = "group"


async def test_layer_is_one_for_a_loop_and_not_the_projects_own(use_layer):
    use_layer()
    layer = channel_layer.own_layer()
    assert layer is channel_layer.own_layer()
    assert type(layer) is type(get_channel_layer())
    assert layer is not get_channel_layer()
    assert await asyncio.to_thread(lambda: asyncio.run(own_layer())) is not layer


async def own_layer():
    return channel_layer.own_layer()


@pytest.mark.parametrize("backend", [CORE], indirect=True)
@pytest.mark.parametrize(
    ("socket_timeout", "read_timeout"), [(None, 2), (60, 2), (5, 2), (0.3, 0.15)]
)
async def test_reads_end_before_the_connection_is_given_up(use_layer, socket_timeout, read_timeout):
    use_layer(socket_timeout)
    assert channel_layer.own_layer().brpop_timeout == read_timeout
    assert get_channel_layer().brpop_timeout == 5


@pytest.mark.parametrize("backend", [CORE], indirect=True)
async def test_much_may_wait_for_a_busy_process_and_more_if_the_project_says_so(use_layer):
    use_layer()
    assert channel_layer.own_layer().capacity == channel_layer.CAPACITY
    assert get_channel_layer().capacity == 100


@pytest.mark.parametrize("backend", [CORE], indirect=True)
async def test_capacity_is_never_made_less(use_layer):
    use_layer(capacity=9000)
    assert channel_layer.own_layer().capacity == 9000


@pytest.mark.parametrize(
    ("backend", "lasts"), [(CORE, 86400), (PUBSUB, 86400)], indirect=["backend"]
)
async def test_membership_lasts_for_a_day_by_default(use_layer, lasts):
    use_layer()
    assert channel_layer.membership_lasts(channel_layer.own_layer()) == lasts


async def exchange(layer):
    """One message that reaches the layer itself; it holds all its connections afterwards."""
    channel = await layer.new_channel()
    await layer.group_add(GROUP, channel)
    receiving = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0.1)
    await layer.group_send(GROUP, {"type": "x", "n": 1})
    assert (await asyncio.wait_for(receiving, 10))["n"] == 1


async def test_closed_layer_has_no_connection_or_task_and_can_be_used_again(use_layer, redis):
    use_layer()
    layer = channel_layer.own_layer()
    tasks = asyncio.all_tasks()
    for _ in range(3):
        await exchange(layer)
        assert redis.clients > 0
        await channel_layer.close(layer)
        await asyncio.to_thread(assert_disconnected, redis)
        assert asyncio.all_tasks() == tasks
    assert layer is channel_layer.own_layer()


async def test_closing_deletes_nothing_of_the_projects_own_layer(use_layer, redis):
    use_layer()
    theirs, ours = get_channel_layer(), channel_layer.own_layer()
    channel = await theirs.new_channel()
    await theirs.group_add("theirs", channel)
    await exchange(ours)
    await channel_layer.close(ours)
    await theirs.group_send("theirs", {"type": "x", "n": 2})
    assert (await asyncio.wait_for(theirs.receive(channel), 10))["n"] == 2
    await channel_layer.close(theirs)


async def test_closing_while_redis_hangs_takes_little_time(use_layer, redis, caplog):
    caplog.set_level(logging.CRITICAL, "channels_redis")
    use_layer()
    layer = channel_layer.own_layer()
    await exchange(layer)
    with redis.frozen():
        async with asyncio.timeout(channel_layer.CLOSE_TIMEOUT + 1):
            await channel_layer.close(layer)
    await exchange(channel_layer.own_layer())
    await channel_layer.close(channel_layer.own_layer())


@pytest.mark.parametrize("backend", [PUBSUB], indirect=True)
async def test_layer_whose_receiver_died_is_replaced(use_layer, redis):
    # Its flush raises then, and leaves it as it is: it would never hear again.
    use_layer()
    layer = channel_layer.own_layer()
    await exchange(layer)
    (shard,) = layer._shards
    shard._receive_task.cancel()
    dead = asyncio.get_running_loop().create_future()
    dead.set_exception(LookupError)
    shard._receive_task = dead
    await channel_layer.close(layer)
    fresh = channel_layer.own_layer()
    assert fresh is not layer
    await exchange(fresh)
    await channel_layer.close(fresh)
    shard._receive_task = None
    await channel_layer.close(layer)


def test_closed_loop_leaves_no_layer(use_layer, redis):
    use_layer()

    async def use():
        await exchange(channel_layer.own_layer())

    before = len(channel_layer._own)
    for _ in range(3):
        asyncio.run(use())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    assert len(channel_layer._own) <= before
    assert_disconnected(redis)
