import socket
from typing import Any

from daphne.cli import CommandLineInterface
from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command
from django.db import connections

from demo_site.accounts import ACCOUNTS, create_accounts


class Command(BaseCommand):
    help = "Prepares the database and the accounts, and serves the site under daphne."

    def handle(self, **options: Any) -> None:
        self.check_address()
        call_command("migrate", verbosity=0)
        create_accounts()
        connections.close_all()
        self.run()

    def run(self) -> None:
        self.announce()
        CommandLineInterface().run(
            [
                "--bind",
                settings.HOST,
                "--port",
                str(settings.PORT),
                "--verbosity",
                "0",
                "--access-log",
                "-",
                "demo_site.asgi:application",
            ]
        )

    def check_address(self) -> None:
        try:
            [(family, *_, address), *_] = socket.getaddrinfo(
                settings.HOST, settings.PORT, type=socket.SOCK_STREAM
            )
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            raise CommandError(
                f"Cannot serve on {settings.HOST}, port {settings.PORT}: {error.strerror}. "
                "Set HOST or PORT to another one."
            ) from error

    def announce(self) -> None:
        policy = settings.REALTIME_SESSION
        accounts = ", ".join(f"{account.username}/{account.password}" for account in ACCOUNTS)
        self.stdout.write(
            f"The demo is at {address_for_people(settings.HOST, settings.PORT)} "
            f"(Ctrl-C stops it). Sign in as {accounts}.\n"
            f"A session ends after {policy['IDLE_TIMEOUT']:g} s without activity; "
            f"{policy['WARN_BEFORE']:g} s before that, all its tabs are warned."
        )
        self.stdout.flush()


def address_for_people(host: str, port: int) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104
        host = "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
