"""Processes that die of ``kill -9``: their tabs go to others, and others finish what they began."""

import signal

from tests.faults.crowd import until
from tests.faults.stage import Stage

SETTLE_AFTER = 4
"""Seconds after which another process finishes an end; five minutes where nobody waits for it."""
STEPS = ("ended", "deleted", "nudged", "signalled")


async def test_whatever_step_of_an_end_a_process_dies_at_others_finish_it(stage: Stage) -> None:
    victims = [
        server for step in STEPS for server in await stage.start("daphne", TESTS_DIE_AT=step)
    ]
    await stage.start("uvicorn", TESTS_SETTLE_AFTER=str(SETTLE_AFTER))
    crowd = stage.crowd()
    logins = await stage.log_in(60, 10, 3)
    here_and_there = [(number, len(victims)) for number in range(len(victims))]
    # Some are watched by nobody else: else the survivor may be the first at each end.
    here_only = [(number,) for number in range(len(victims))]
    crowd.add(logins[:40], homes=here_and_there + here_only)
    crowd.add(logins[40:], homes=here_and_there, is_active=True)
    await crowd.arrive()
    await crowd.sit()
    steps = {victim.pid: step for victim, step in zip(victims, STEPS, strict=True)}
    await crowd.until_over(patience=10)
    assert not any(victim.is_running for victim in victims)
    await crowd.until_back(patience=10)
    delivered = {end.sid for end in stage.ends() if steps.get(end.pid) == "signalled"}
    await stage.judge("kill -9 at each step of an end", signals_within=15, may_repeat=delivered)


async def test_a_process_that_dies_in_mid_warning_is_no_end_and_no_respite(stage: Stage) -> None:
    victim, _ = await stage.start("daphne", "uvicorn", TESTS_SETTLE_AFTER=str(SETTLE_AFTER))
    crowd = stage.crowd()
    logins = await stage.log_in(40, 8, 4)
    crowd.add(logins[:20], homes=[(0,), (0, 1)])
    crowd.add(logins[20:], homes=[(0,), (0, 1)], is_active=True)
    await crowd.arrive()
    await crowd.sit()
    assert await until(lambda: all(tab.warned_at for p in crowd.idle for tab in p.tabs), 20)
    victim.stop(signal.SIGKILL)
    await crowd.until_over(patience=5)
    await crowd.until_back(patience=5)
    await stage.judge("kill -9 in mid-warning", signals_within=15)
