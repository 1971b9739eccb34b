"""Finds the programs the suite needs beside Python; `python -m tests.system` installs them, or some."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Part(NamedTuple):
    name: str
    packages: tuple[str, ...]
    is_there: Callable[[], bool]


def find_program(name: str) -> Path | None:
    """Debian keeps PostgreSQL's programs, and an ordinary user's PATH `sbin`, out of the way."""
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    newest_first = sorted(versions, key=lambda path: float(path.parent.name), reverse=True)
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", *map(str, newest_first)])
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def find_chromium() -> Path | None:
    """The system's browser; where there is none, Playwright takes its own."""
    found = map(find_program, ("chromium", "google-chrome", "google-chrome-stable"))
    return next(filter(None, found), None)


def has_chromium() -> bool:
    if find_chromium():
        return True
    # Not there where only some parts are wanted.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path).exists()


def find_faketime() -> Path | None:
    """What gives a process another wall clock, when it is loaded before all else."""
    return next(Path("/usr/lib").glob("**/faketime/libfaketime.so.1"), None)


def faketime() -> dict[str, str]:
    """Return the environment of a process whose wall clock, but not its monotonic one, can be another."""
    library = find_faketime()
    if library is None:
        raise FileNotFoundError("libfaketime is not installed: run `python -m tests.system`")
    return {"LD_PRELOAD": str(library), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def has_programs(*names: str) -> Callable[[], bool]:
    return lambda: all(map(find_program, names))


PARTS = [
    Part("Chromium", ("chromium",), has_chromium),
    Part("PostgreSQL", ("postgresql",), has_programs("initdb", "postgres")),
    Part("libfaketime", ("faketime",), lambda: find_faketime() is not None),
    Part("Redis", ("redis-server",), has_programs("redis-server")),
    Part("Valkey", ("valkey-server",), has_programs("valkey-server")),
    Part("nginx", ("nginx",), has_programs("nginx")),
    Part("ps", ("procps",), has_programs("ps")),
    Part(
        "MariaDB",
        ("mariadb-server-core", "mariadb-client-core"),
        has_programs("mariadbd", "mariadb-install-db", "my_print_defaults"),
    ),
]


# Debian 12 has Valkey among its backports, of which apt takes only what it finds nowhere else.
BACKPORTS = """\
Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


def install_with_apt(packages: list[str]) -> bool:
    """Works as root, or as a user whose sudo asks for no password."""
    if not shutil.which("apt-get"):
        return False
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if sudo and not (shutil.which("sudo") and succeeds(*sudo, "true")):
        return False
    if (
        "valkey-server" in packages
        and is_debian()
        and platform.freedesktop_os_release().get("VERSION_CODENAME") == "bookworm"
    ):
        command = [*sudo, "tee", "/etc/apt/sources.list.d/backports.sources"]
        subprocess.run(command, input=BACKPORTS, text=True, stdout=subprocess.DEVNULL)
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    return succeeds(*apt, "update") and succeeds(
        *apt, "install", "--yes", "--no-install-recommends", *packages
    )


def succeeds(*command: str) -> bool:
    """Chatter goes to standard error: standard output is for the test runner."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr).returncode == 0


def is_debian() -> bool:
    return Path("/etc/os-release").exists() and platform.freedesktop_os_release()["ID"] == "debian"


def install(parts: list[Part]) -> None:
    # Elsewhere than on Debian, a package of that name may be a mere pointer to a snap.
    packages = [package for package in packages_of(parts) if package != "chromium" or is_debian()]
    if packages:
        install_with_apt(packages)
    if any(part.name == "Chromium" for part in parts) and not has_chromium():
        succeeds(sys.executable, "-m", "playwright", "install", "chromium")


def packages_of(parts: list[Part]) -> list[str]:
    return [package for part in parts for package in part.packages]


def missing(*names: str) -> list[Part]:
    wanted = [part for part in PARTS if not names or part.name in names]
    return [part for part in wanted if not part.is_there()]


def main(*names: str) -> str | None:
    """Answers what to install by hand, or nothing where all is well."""
    if parts := missing(*names):
        install(parts)
    if parts := missing(*names):
        lacking = ", ".join(part.name for part in parts)
        packages = " ".join(packages_of(parts))
        who = "This needs" if names else "The tests need"
        return f"{who} {lacking}: install the packages {packages} and try again."
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
