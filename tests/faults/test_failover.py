"""A Sentinel failover to a replica that lags behind: the store has forgotten its last seconds."""

import asyncio

import pytest

from tests.faults import slow
from tests.faults.redis_faults import ask, until_master
from tests.faults.stage import STORE, Stage
from tests.redis_groups import sentinel_group
from tests.redis_server import redis_server

LAG = 5.0
RECOVERY = 4.5


@slow
@pytest.mark.timeout(300)
async def test_writes_that_a_failover_rewinds_are_made_good(stage: Stage) -> None:
    with redis_server() as layer, sentinel_group() as group:
        stage.use_redis(group.master.url, layer=layer.url)
        stage.settings["STORE"] = {"BACKEND": STORE, "OPTIONS": group.options}
        await stage.start("daphne", "uvicorn")
        crowd = stage.crowd()
        logins = await stage.log_in(90, 30, 8)
        crowd.add(logins[:45], homes=[(0, 1), (0,), (1,)])
        crowd.add(logins[45:], homes=[(0, 1), (0,), (1,)], is_active=True)
        await crowd.arrive()
        await crowd.sit(spread=12)
        await crowd.until_near(lead=0)
        # It cannot come back to its master, and does not hear of the ends that come now.
        await ask(group.replica, "CONFIG", "SET", "masterauth", "wrong")
        await ask(group.replica, "CONFIG", "SET", "masteruser", "nobody")
        await ask(group.master, "CLIENT", "KILL", "TYPE", "replica")
        await asyncio.sleep(LAG)
        assert stage.ends()
        with crowd.outage(RECOVERY):
            group.master.stop()
            await until_master(group.replica)
        await crowd.until_over(patience=15)
        await crowd.until_back(patience=10)
        await stage.judge("Sentinel failover that rewinds 5 s of writes")
        await stage.close()
