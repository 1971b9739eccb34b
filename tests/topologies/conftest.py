import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.databases import Databases, mariadb_server, postgres_server
from tests.redis_server import RedisServer, redis_server
from tests.servers import prepare

from . import page
from .topology import Topology

POLICY = {"IDLE_TIMEOUT": 6, "WARN_BEFORE": 3}
NO_REDIS = "One database, no Redis"
DATABASES = {"PostgreSQL": postgres_server, "MariaDB": mariadb_server}
CASES = [
    *(title for title in page.sections() if title != NO_REDIS),
    *(f"{NO_REDIS}: {name}" for name in DATABASES),
]


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(params=CASES)
def topology(
    request: pytest.FixtureRequest,
    redis: RedisServer,
    prepared: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Topology]:
    """Each of the page's sections in turn, running."""
    title, _, database = request.param.partition(": ")
    scratch = tmp_path_factory.mktemp("topology")
    if database:
        with DATABASES[database]() as databases, on_database(scratch, databases) as topology:
            yield topology
        return
    shutil.copytree(prepared, scratch, dirs_exist_ok=True)
    topology = Topology(title, scratch)
    try:
        topology.start(POLICY, page.commands(title), redis.port)
        yield topology
    finally:
        topology.close()


@contextmanager
def on_database(scratch: Path, databases: Databases) -> Iterator[Topology]:
    """On a database server, with a bound that a test can wait for."""
    settings = f"""
import pymysql
pymysql.install_as_MySQLdb()
DATABASES["default"] = {databases["default"]!r}
REALTIME_SESSION["REVALIDATE_INTERVAL"] = 1
"""
    more = scratch / "database.py"
    more.write_text(settings)
    prepare(scratch, TESTS_MORE_SETTINGS=str(more))
    topology = Topology(NO_REDIS, scratch, settings=settings)
    try:
        topology.start(POLICY, page.commands(NO_REDIS), None)
        yield topology
    finally:
        topology.close()
