import asyncio

import pytest

from realtime_session import batcher, tasks
from realtime_session.batcher import MAX_BATCH, Batcher
from realtime_session.stores import StoreUnavailable


@pytest.fixture(autouse=True)
def no_delays(monkeypatch):
    """Nothing is waited for but what a test waits for."""
    for name in ("FIRST_RETRY", "LAST_RETRY"):
        monkeypatch.setattr(batcher, name, 0.0001)
    monkeypatch.setattr(tasks, "RESTART_IN", 0)


class Store:
    """Answers each key with its value, doubled; fails and blocks on request."""

    def __init__(self):
        self.calls = []
        self.failures = []
        self.called = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, batch):
        self.calls.append(dict(batch))
        self.called.set()
        await self.go_on.wait()
        if self.failures:
            raise self.failures.pop(0)
        return {key: value * 2 for key, value in batch.items()}

    async def next_call(self):
        await self.until_called(len(self.calls) + 1)
        return self.calls[-1]

    async def until_called(self, times):
        while len(self.calls) < times:
            self.called.clear()
            await asyncio.wait_for(self.called.wait(), 5)


@pytest.fixture
async def store():
    return Store()


@pytest.fixture
async def make(store):
    """Makes started batchers, which are stopped after the test."""
    made = []

    def make(**options):
        batcher = Batcher("test", store, **options)
        batcher.start()
        made.append(batcher)
        return batcher

    yield make
    store.go_on.set()
    for each in made:
        await each.stop()


async def test_answer_comes_back_to_whom_asked(make):
    batcher = make()
    assert await asyncio.gather(batcher.ask("a", 1), batcher.ask("b", 2)) == [2, 4]


async def test_what_comes_together_goes_in_one_call(make, store):
    batcher = make()
    for number in range(10):
        batcher.add(str(number), number)
    assert await batcher.ask("a", 1) == 2
    assert len(store.calls) == 1
    assert len(store.calls[0]) == 11


async def test_latest_value_of_a_key_counts(make, store):
    batcher = make()
    batcher.add("a", 1)
    assert await batcher.ask("a", 5) == 10
    assert store.calls == [{"a": 5}]


async def test_all_who_ask_for_a_key_get_the_one_answer(make, store):
    batcher = make()
    assert await asyncio.gather(*(batcher.ask("a", 1) for _ in range(3))) == [2, 2, 2]
    assert len(store.calls) == 1


async def test_key_without_an_answer_is_answered_with_none():
    async def nothing(batch):
        return {}

    batcher = Batcher("test", nothing)
    batcher.start()
    assert await batcher.ask("a", 1) is None
    await batcher.stop()


async def test_there_is_one_call_at_a_time_and_what_comes_meanwhile_waits(make, store):
    batcher = make()
    store.go_on.clear()
    first = asyncio.create_task(batcher.ask("a", 1))
    await store.next_call()
    rest = [asyncio.create_task(batcher.ask(key, 1)) for key in "abc"]
    await asyncio.sleep(0)
    assert store.calls == [{"a": 1}]
    store.go_on.set()
    assert await asyncio.gather(first, *rest) == [2, 2, 2, 2]
    assert store.calls == [{"a": 1}, {"a": 1, "b": 1, "c": 1}]


@pytest.mark.parametrize(
    ("count", "calls"),
    [
        (MAX_BATCH, [MAX_BATCH]),
        (MAX_BATCH + 1, [MAX_BATCH, 1]),
        (2 * MAX_BATCH + 5, [MAX_BATCH, MAX_BATCH, 5]),
    ],
)
async def test_calls_are_of_bounded_size(make, store, count, calls):
    batcher = make()
    answers = await asyncio.gather(*(batcher.ask(str(n), n) for n in range(count)))
    assert answers == [2 * n for n in range(count)]
    assert [len(call) for call in store.calls] == calls


async def test_delay_collects_what_is_not_urgent(make, store):
    batcher = make(delay=3600)
    batcher.add("a", 1)
    for _ in range(10):
        await asyncio.sleep(0)
    assert store.calls == []
    batcher.add("b", 2, urgent=True)
    assert await store.next_call() == {"a": 1, "b": 2}


async def test_delay_ends(make, store):
    batcher = make(delay=0.001)
    batcher.add("a", 1)
    assert await store.next_call() == {"a": 1}


async def test_asking_does_not_wait_for_the_delay(make):
    batcher = make(delay=3600)
    assert await batcher.ask("a", 1) == 2


async def test_urgency_lasts_for_one_call(make, store):
    batcher = make(delay=3600)
    await batcher.ask("a", 1)
    batcher.add("b", 2)
    for _ in range(10):
        await asyncio.sleep(0)
    assert store.calls == [{"a": 1}]


async def test_store_that_does_not_answer_is_told_to_those_who_asked_and_to_the_keys(make, store):
    told = []
    batcher = make(keep=False, unavailable=told.append)
    store.failures = [StoreUnavailable("away")]
    batcher.add("b", 2)
    with pytest.raises(StoreUnavailable, match="away"):
        await batcher.ask("a", 1)
    assert [sorted(keys) for keys in told] == [["a", "b"]]
    assert await batcher.ask("c", 3) == 6
    assert store.calls[-1] == {"c": 3}


async def test_values_are_kept_until_the_store_is_back(make, store):
    told = []
    batcher = make(unavailable=told.append)
    store.failures = [StoreUnavailable()] * 3
    batcher.add("a", 1)
    await store.until_called(4)
    assert store.calls == [{"a": 1}] * 4
    assert told == [["a"]] * 3
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(store.calls) == 4


async def test_newer_value_is_not_replaced_by_the_one_that_failed(make, store):
    batcher = make()
    store.go_on.clear()
    store.failures = [StoreUnavailable()]
    batcher.add("a", 1)
    batcher.add("b", 1)
    await store.next_call()
    batcher.add("a", 2)
    store.go_on.set()
    assert await store.next_call() == {"a": 2, "b": 1}


async def test_retries_come_later_and_later_up_to_a_bound(make, store, monkeypatch):
    monkeypatch.setattr(batcher, "FIRST_RETRY", 0.25)
    monkeypatch.setattr(batcher, "LAST_RETRY", 2.0)
    pauses = []
    sleep = asyncio.sleep

    async def pause(seconds):
        if seconds:
            pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(batcher.asyncio, "sleep", pause)
    store.failures = [StoreUnavailable()] * 6
    made = make()
    made.add("a", 1)
    while len(store.calls) < 7:
        await store.next_call()
    assert pauses == [0.25, 0.5, 1, 2, 2, 2]
    store.failures = [StoreUnavailable()]
    made.add("a", 1)
    while len(store.calls) < 9:
        await store.next_call()
    assert pauses[6:] == [0.25]


async def test_unexpected_error_is_logged_and_answered_as_unavailable(make, store, caplog):
    batcher = make(keep=False)
    store.failures = [LookupError("lost")]
    with pytest.raises(StoreUnavailable, match="LookupError"):
        await batcher.ask("a", 1)
    assert "test failed for 1 sessions." in caplog.text
    assert "LookupError: lost" in caplog.text
    assert await batcher.ask("a", 1) == 2


async def test_nobody_waiting_any_more_does_no_harm(make, store):
    batcher = make(keep=False)
    store.go_on.clear()
    gone = asyncio.create_task(batcher.ask("a", 1))
    await store.next_call()
    gone.cancel()
    await asyncio.wait({gone})
    store.failures = [StoreUnavailable()]
    store.go_on.set()
    assert await batcher.ask("b", 1) == 2


async def test_one_who_stops_waiting_takes_the_answer_from_nobody_else(make, store):
    batcher = make()
    store.go_on.clear()
    gone, stays = (asyncio.create_task(batcher.ask("a", 1)) for _ in range(2))
    await store.next_call()
    gone.cancel()
    await asyncio.wait({gone})
    store.go_on.set()
    assert await stays == 2


async def test_stopping_makes_the_call_for_what_is_still_here(make, store):
    batcher = make(delay=3600)
    batcher.add("a", 1)
    await batcher.stop()
    assert store.calls == [{"a": 1}]


async def test_stopping_finishes_what_is_under_way(make, store):
    batcher = make()
    store.go_on.clear()
    asking = asyncio.create_task(batcher.ask("a", 1))
    await store.next_call()
    stopping = asyncio.create_task(batcher.stop())
    batcher.add("b", 2)
    store.go_on.set()
    await stopping
    assert await asking == 2
    assert store.calls == [{"a": 1}, {"b": 2}]


async def test_stopping_does_not_wait_for_a_store_that_is_away(make, store):
    batcher = make()
    store.failures = [StoreUnavailable()] * 1000
    batcher.add("a", 1)
    await batcher.stop()
    assert 1 <= len(store.calls) < 10


async def test_stopping_does_not_wait_for_ever_for_a_store_that_hangs(make, store, monkeypatch):
    monkeypatch.setattr(batcher, "STOP_TIMEOUT", 0.001)
    made = make()
    store.go_on.clear()
    asking = asyncio.create_task(made.ask("a", 1))
    await store.next_call()
    await made.stop()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_idle_batcher_stops_without_a_call(make, store):
    await make().stop()
    assert store.calls == []
