"""When a process sweeps."""

import asyncio
from itertools import pairwise

import pytest

from realtime_session import sweeper
from realtime_session.stores.memory import MemoryStore
from realtime_session.sweeper import Sweeper


class LossyStore(MemoryStore):
    epoch = 1


@pytest.fixture
def store(monkeypatch, settings):
    store = LossyStore()
    monkeypatch.setattr(sweeper, "get_store", lambda: store)
    settings.REALTIME_SESSION = {"SWEEP_INTERVAL": 0.01}
    return store


async def test_sweeps_over_and_over_until_it_is_stopped(store):
    swept = asyncio.Queue()
    sweeps = Sweeper(lambda *args: swept.put(args))
    sweeps.start()
    for _ in range(3):
        await asyncio.wait_for(swept.get(), 5)
    await sweeps.stop()
    assert swept.qsize() <= 1


async def test_waits_for_what_others_know_once_the_store_may_have_lost_it(store, monkeypatch):
    monkeypatch.setattr(sweeper, "AFTER_LOSS", 0.5)
    times = asyncio.Queue()
    sweeps = Sweeper(lambda *args: times.put(asyncio.get_running_loop().time()))
    sweeps.start()
    first = await asyncio.wait_for(times.get(), 5)
    store.epoch = 2
    # One may have been under way.
    rest = [await asyncio.wait_for(times.get(), 5) for _ in range(4)]
    await sweeps.stop()
    gaps = [later - earlier for earlier, later in pairwise([first, *rest])]
    assert max(gaps) >= 0.5
