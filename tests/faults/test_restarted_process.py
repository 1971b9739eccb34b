"""Processes that are stopped by SIGTERM and started again, one after the other, as in a deployment."""

import pytest

from tests.faults import slow
from tests.faults.stage import Stage
from tests.faults.verdict import LATE, OVERLOADED


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("people", "idle", "spread"),
    [pytest.param(100, 8, 6, id="quick"), pytest.param(1000, 40, 20, id="2000", marks=slow)],
)
async def test_a_rolling_restart_ends_nobody_and_keeps_nobody(
    stage: Stage, people: int, idle: float, spread: float
) -> None:
    await stage.start("daphne", "uvicorn", "daphne", "uvicorn")
    crowd = stage.crowd(pace=idle / 6)
    logins = await stage.log_in(people, idle, idle / 4)
    pairs = [(0, 1), (1, 2), (2, 3), (3, 0)]
    crowd.add(logins[::2], homes=pairs)
    crowd.add(logins[1::2], homes=pairs, is_active=True)
    await crowd.arrive()
    await crowd.sit(spread)
    await crowd.until_near()
    for server in stage.servers:
        await stage.restart(server)
    await crowd.until_over(patience=10)
    await crowd.until_back(patience=20)
    late = OVERLOADED if people > 500 else LATE
    await stage.judge(f"rolling restart of 4 processes under {2 * people} sockets", late=late)
