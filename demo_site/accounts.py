from typing import NamedTuple

from django.contrib.auth import get_user_model


class Account(NamedTuple):
    username: str
    password: str
    purpose: str
    is_staff: bool = False


ACCOUNTS = [
    Account("demo", "demo", "a look around"),
    Account("demo2", "demo2", "someone else, in another browser"),
    Account("admin", "admin", "the admin, with all sessions", is_staff=True),
]


def create_accounts() -> None:
    """Leaves those that exist alone: a new password hash would end their sessions."""
    users = get_user_model().objects
    for account in ACCOUNTS:
        if not users.filter(username=account.username).exists():
            users.create_user(
                account.username,
                password=account.password,
                is_staff=account.is_staff,
                is_superuser=account.is_staff,
            )
