"""A process that stands still for a while, as one does whose machine is suspended or starved."""

import asyncio
import signal

import pytest

from tests.faults import slow
from tests.faults.stage import Stage


@pytest.mark.parametrize("seconds", [3, pytest.param(15, marks=slow)])
async def test_a_process_that_stands_still_holds_nobody_else_up(
    stage: Stage, seconds: float
) -> None:
    frozen, _ = await stage.start("daphne", "uvicorn")
    crowd = stage.crowd()
    idle = 2 * seconds
    logins = await stage.log_in(60, idle, idle / 2)
    crowd.add(logins[:20], homes=[(0,)])
    crowd.add(logins[20:40], homes=[(0, 1)])
    crowd.add(logins[40:], homes=[(0, 1)], is_active=True)
    await crowd.arrive()
    await crowd.sit(spread=seconds / 2)
    await crowd.until_near()
    frozen.send(signal.SIGSTOP)
    with crowd.outage(port=frozen.port):
        await asyncio.sleep(seconds)
        frozen.send(signal.SIGCONT)
    await crowd.until_over(patience=5)
    await crowd.until_back(patience=10)
    await stage.judge(f"SIGSTOP of one of two processes for {seconds} s")
