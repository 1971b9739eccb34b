"""Real database servers, each in a temporary directory and reached through a socket in it."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pymysql

from tests.system import find_program

pymysql.install_as_MySQLdb()

Databases = dict[str, dict[str, Any]]

NAME = "realtime_session"
START_TIMEOUT = 30


@contextmanager
def postgres_server() -> Iterator[Databases]:
    """Yields Django's DATABASES for a new PostgreSQL server, which ends with the block."""
    with workspace() as (directory, account):
        data = directory / "data"
        run_as(account, "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")
        command = ["postgres", "-D", data, "-k", directory, "-c", "listen_addresses=", "-F"]
        # SIGTERM would wait for the clients to leave.
        with running(account, directory, command, stop=signal.SIGINT) as server:
            wait_for(server, create_postgres_database, directory)
            yield databases("postgresql", str(directory), USER="postgres")


@contextmanager
def mariadb_server() -> Iterator[Databases]:
    """Yields Django's DATABASES for a new MariaDB server, which ends with the block."""
    with workspace() as (directory, account):
        data, address = directory / "data", directory / "socket"
        run_as(
            account,
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        )
        command = [
            "mariadbd",
            "--no-defaults",
            f"--datadir={data}",
            f"--socket={address}",
            "--skip-networking",
            "--innodb-flush-log-at-trx-commit=0",
            "--character-set-server=utf8mb4",
        ]
        with running(account, directory, command, stop=signal.SIGTERM) as server:
            wait_for(server, create_mariadb_database, address)
            # Else PyMySQL reads the system's certificates at each connect.
            yield databases("mysql", str(address), USER="root", OPTIONS={"ssl_disabled": True})


def databases(engine: str, host: str, **more: Any) -> Databases:
    return {
        "default": {"ENGINE": f"django.db.backends.{engine}", "NAME": NAME, "HOST": host, **more}
    }


def create_postgres_database(directory: Path) -> None:
    address = {"host": str(directory), "user": "postgres", "dbname": "postgres"}
    with psycopg.connect(**address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {NAME}")


def create_mariadb_database(address: Path) -> None:
    # PyMySQL leaks its socket where nobody listens yet.
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(address))
    with pymysql.connect(unix_socket=str(address), user="root") as connection:
        connection.cursor().execute(f"CREATE DATABASE {NAME}")


@contextmanager
def workspace() -> Iterator[tuple[Path, dict[str, Any]]]:
    """A directory, and the account that owns it: neither server runs as root."""
    directory = Path(tempfile.mkdtemp(prefix="realtime-session-"))
    account: dict[str, Any] = {}
    try:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(directory, nobody.pw_uid, nobody.pw_gid)
        yield directory, account
    finally:
        shutil.rmtree(directory)


def run_as(account: dict[str, Any], name: str, *arguments: str | Path) -> None:
    command = [program(name), *arguments]
    subprocess.run(command, check=True, capture_output=True, cwd="/", **account)


def program(name: str) -> Path:
    found = find_program(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: run `python -m tests.system`")
    return found


@contextmanager
def running(
    account: dict[str, Any], directory: Path, command: list[Any], *, stop: signal.Signals
) -> Iterator[subprocess.Popen[bytes]]:
    name, *arguments = command
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            [program(name), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory,
            **account,
        )
    try:
        yield server
    except ServerError as error:
        error.add_note((directory / "log").read_text(errors="replace"))
        raise
    finally:
        server.send_signal(stop)
        try:
            server.wait(START_TIMEOUT)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


class ServerError(RuntimeError):
    pass


def wait_for(
    server: subprocess.Popen[bytes], create_database: Callable[[Path], None], address: Path
) -> None:
    give_up_at = time.monotonic() + START_TIMEOUT
    while True:
        try:
            return create_database(address)
        except (psycopg.OperationalError, OSError) as error:
            if server.poll() is not None or time.monotonic() > give_up_at:
                raise ServerError("the database server did not start") from error
        time.sleep(0.05)
