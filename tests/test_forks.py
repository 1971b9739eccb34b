"""A forked process holds no lock, work or listener of its parent, and can do what any process can."""

import asyncio
import os
import pkgutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

import pytest
from django.test import override_settings

import realtime_session
from realtime_session import bus, health, losses, nudges, settling
from realtime_session.hub import Hub, _hubs
from realtime_session.looks import looks
from realtime_session.stores import get_store
from realtime_session.tab import Tab
from tests.stores.records import T0, record

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
PATIENCE = 20
LOCKS = (type(threading.Lock()), type(threading.Condition()), type(threading.RLock()))


def in_fork(job: Callable[[], object]) -> bool:
    """Say whether ``job`` returns what is true in a fork of this process; it fails where that hangs."""
    child = os.fork()
    if not child:
        status = 1
        try:
            status = 0 if job() else 1
        finally:
            os._exit(status)
    give_up_at = time.monotonic() + PATIENCE
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > give_up_at:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the fork hangs")
        time.sleep(0.01)
    return ended[1] == 0


def locks() -> dict[str, Any]:
    """All locks that the package's modules hold for the whole process, each by one of its names."""
    found: dict[int, tuple[str, Any]] = {}
    for module in pkgutil.walk_packages(realtime_session.__path__, "realtime_session."):
        if "migrations" in module.name:
            continue
        for name, each in vars(import_module(module.name)).items():
            is_ours = type(each).__module__.startswith("realtime_session.")
            parts = vars(each) if is_ours and hasattr(each, "__dict__") else {}
            for path, part in [(name, each), *((f"{name}.{key}", parts[key]) for key in parts)]:
                if isinstance(part, LOCKS):
                    found.setdefault(id(part), (f"{module.name}.{path}", part))
    return dict(found.values())


@contextmanager
def held(locks: Iterable[Any]) -> Iterator[None]:
    """Another thread holds them."""
    are_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            are_held.set()
            may_go.wait(PATIENCE)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    try:
        assert are_held.wait(PATIENCE)
        yield
    finally:
        may_go.set()
        thread.join(PATIENCE)


def test_no_lock_of_the_package_is_held() -> None:
    every = locks()
    assert {"settling._lock", "stores._lock", "looks.looks._lock", "health._store._lock"} <= {
        name.removeprefix("realtime_session.") for name in every
    }
    with held(every.values()):
        assert in_fork(lambda: all(lock.acquire(blocking=False) for lock in locks().values()))


@pytest.fixture
def in_memory() -> Iterator[None]:
    store = {"BACKEND": "realtime_session.stores.memory.MemoryStore"}
    with override_settings(REALTIME_SESSION={"STORE": store}):
        yield


def test_store_is_its_own(in_memory: None) -> None:
    store = get_store()
    with held([store._lock]):
        assert in_fork(lambda: get_store() is not store and get_store().get([]))
    assert get_store() is store


def test_what_the_parent_settles_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settling._undeleted, "a", (time.monotonic(), record(1)))
    for name in ("_under_way", "_signalled"):
        monkeypatch.setattr(settling, name, {"a"})
    assert in_fork(lambda: not (settling._under_way or settling._signalled or settling._undeleted))
    assert settling._under_way == {"a"}


async def test_tabs_and_nudges_of_the_parent_are_not_its_own() -> None:
    one = Hub.attach()
    assert len(bus._listeners) == 2
    assert len(losses._knowing) == 1
    assert in_fork(lambda: bus._listeners == [looks.forget] and not losses._knowing)
    assert in_fork(lambda: not _hubs)
    origin = nudges.origin()
    assert in_fork(lambda: nudges.origin() not in ("", origin))
    await one.detach(Tab(_send, one.writer))


async def _send(event: object) -> None:
    pass


def test_looks_are_not_remembered() -> None:
    looks.remember("cookie", record(1), T0, counted=True)
    assert in_fork(lambda: not len(looks))
    looks.forget([record(1).sid])


def test_probe_does_not_wait_for_what_its_parent_asks(
    in_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_answer = threading.Event()
    asked = threading.Event()

    def ask() -> str:
        asked.set()
        may_answer.wait(PATIENCE)
        return "ok"

    monkeypatch.setattr(health, "_store", health.Question("tests", ask))
    waiting = threading.Thread(target=lambda: asyncio.run(health._store.answer()), daemon=True)
    waiting.start()
    assert asked.wait(PATIENCE)
    assert in_fork(lambda: asyncio.run(health._store.answer()) == "ok")
    may_answer.set()
    waiting.join()
