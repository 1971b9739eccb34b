"""``manage.py sessionmonitor sweep|list|end``: for cron, for operators, and for projects without sockets."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from realtime_session import monitor
from realtime_session.policy import EndReason, Record, evaluate
from realtime_session.stores import StoreUnavailable, get_store


class Command(BaseCommand):
    """See the module. Django's ``clearsessions`` is left as it is, and is still wanted."""

    help = "Sweeps, lists or ends monitored sessions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser(
            "sweep", help="end what is overdue, settle what was left half done, drop old tombstones"
        )
        listing = actions.add_parser("list", help="list live sessions")
        listing.add_argument("--user", help="only those of this username")
        ending = actions.add_parser("end", help="end sessions")
        chosen = ending.add_mutually_exclusive_group(required=True)
        chosen.add_argument("--user", help="end all sessions of this username")
        chosen.add_argument("--sid", help="end the session with this id")
        ending.add_argument(
            "--reason", default=EndReason.REVOKED.value, choices=[r.value for r in EndReason]
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(**options)
        except StoreUnavailable as error:
            raise CommandError(str(error)) from error

    def _sweep(self, **options: Any) -> None:
        ended = monitor.sweep(float(settings.SESSION_COOKIE_AGE))
        self.stdout.write(f"{ended} session(s) ended.")

    def _list(self, *, user: str | None, **options: Any) -> None:
        store = get_store()
        now, _ = store.get([])
        records = monitor.sessions_for(_user_named(user)) if user else monitor.all_sessions()
        for record in records:
            self.stdout.write(_line(record, now))

    def _end(self, *, user: str | None, sid: str | None, reason: str, **options: Any) -> None:
        if user:
            ended = monitor.end_user_sessions(_user_named(user), reason)
        else:
            ended = int(monitor.end_session(sid or "", reason))
        self.stdout.write(f"{ended} session(s) ended.")


def _user_named(name: str) -> Any:
    model = get_user_model()
    try:
        return model._default_manager.get_by_natural_key(name)
    except model.DoesNotExist:
        raise CommandError(f"There is no user {name!r}.") from None


def _line(record: Record, now: float) -> str:
    status = evaluate(record, now)
    began_at = datetime.fromtimestamp(record.started_at, UTC).isoformat(timespec="seconds")
    left = f"{status.expires_in:.0f} s left"
    return f"{record.sid}  user {record.user_id}  since {began_at}  {status.phase}  {left}"
