"""Sockets that come and go, in all the ways in which they can end, over and over: nothing grows."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bench.client import Tab as Socket
from tests.faults import slow
from tests.faults.stage import Stage

AT_ONCE = 50
MEMORY = 0.05
MOST_LOST = 0.01
LOGOUT = b'{"type":"logout"}'
NOBODY = "0" * 32

Way = Callable[[int, Iterator[str]], Awaitable[Socket]]


async def opened(port: int, session_key: str, kind: type[Socket] = Socket) -> Socket:
    socket = await kind.open(port, session_key)
    await socket.next("state")
    return socket


async def closed(socket: Socket) -> Socket:
    with suppress(ConnectionError):
        while True:
            await socket.hear()
    return socket


async def leaves(port: int, keys: Iterator[str]) -> Socket:
    socket = await opened(port, next(keys))
    socket.send_close()
    return await closed(socket)


async def vanishes(port: int, keys: Iterator[str]) -> Socket:
    socket = await opened(port, next(keys))
    socket.close()
    return await closed(socket)


async def sends_rubbish(port: int, keys: Iterator[str]) -> Socket:
    socket = await opened(port, next(keys))
    socket.send_binary(b"rubbish")
    return await closed(socket)


async def gives_up_in_the_handshake(port: int, keys: Iterator[str]) -> Socket:
    socket = await Socket.open(port, next(keys))
    socket.close()
    return await closed(socket)


async def is_nobody(port: int, keys: Iterator[str]) -> Socket:
    return await closed(await Socket.open(port, NOBODY))


async def comes_from_elsewhere(port: int, keys: Iterator[str]) -> Socket:
    # A line of its own in the handshake, which the origin check sees first.
    return await closed(
        await Socket.open(port, f"{next(keys)}\r\nOrigin: http://elsewhere.example")
    )


EXPECTED: dict[Way, set[int]] = {
    leaves: {1000, 1001, 1005, 1006},
    vanishes: {1006},
    sends_rubbish: {4400},
    gives_up_in_the_handshake: {1006},
    is_nobody: {4401},
    comes_from_elsewhere: {1006},
}


async def logs_out(port: int, key: str) -> None:
    socket = await opened(port, key)
    socket.send(LOGOUT)
    assert (await closed(socket)).close_code == 4001


def resident(pid: int) -> int:
    """Return the pages of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("name", "sockets", "rounds"),
    [
        pytest.param("daphne", 300, 1, id="quick"),
        pytest.param("daphne", 25_000, 10, id="daphne", marks=slow),
        pytest.param("uvicorn", 25_000, 10, id="uvicorn", marks=slow),
    ],
)
async def test_nothing_grows_however_many_come_and_go(
    stage: Stage, name: str, sockets: int, rounds: int
) -> None:
    [server] = await stage.start(name)
    crowd = stage.crowd()
    logins = await stage.log_in(sockets // 10 + 100, 9000, 60)
    leaving = [key for _, key in logins[100:]]
    staying = itertools.cycle([key for _, key in logins[:100]])
    crowd.add(await stage.log_in(10, 9000, 60), is_active=True)
    await crowd.arrive()
    codes: dict[Way, Counter[int]] = {way: Counter() for way in EXPECTED}
    memory = []
    for _ in range(rounds):
        await turn(server.port, sockets // rounds, leaving, staying, codes)
        memory.append(resident(server.pid))
    for way, seen in codes.items():
        # Who still sends when it is closed may lose the code to a reset of the connection.
        lost = seen[1006] if 1006 not in EXPECTED[way] else 0
        assert lost <= MOST_LOST * seen.total(), (way.__name__, seen)
        assert set(seen) <= EXPECTED[way] | {1006}, (way.__name__, seen)
    inside = await asyncio.to_thread(server.inside)
    assert inside["tabs"] == len(crowd.tabs)
    # The first half fills what is filled once: caches of SQLite's connections, and of the allocator.
    grown = memory[-1] / memory[rounds // 2] - 1
    measured = f", memory {grown:+.1%}" if rounds > 1 else ""
    found = await stage.judge(f"{sockets} sockets that come and go ({name}){measured}")
    assert found.people == len(crowd.people)
    assert grown <= MEMORY


async def turn(
    port: int,
    sockets: int,
    leaving: list[str],
    staying: Iterator[str],
    codes: dict[Way, Counter[int]],
) -> None:
    ways = itertools.cycle(EXPECTED)
    left = iter([leaving.pop() for _ in range(sockets // 10)])
    numbers = iter(range(sockets))

    async def work() -> None:
        for number in numbers:
            if number % 10:
                way = next(ways)
                codes[way][(await way(port, staying)).close_code] += 1
            else:
                await logs_out(port, next(left))

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
