from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from realtime_session import bus
from realtime_session.policy import Policy
from realtime_session.stores import get_store

PAGE = 500


class Command(BaseCommand):
    help = "Makes all sessions with a certain idle timeout due at one instant, and prints it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("seconds", type=float, help="from now")
        parser.add_argument("warn", type=float)
        parser.add_argument("idle", type=float, help="the timeout of those that are meant")

    def handle(self, seconds: float, warn: float, idle: float, **options: Any) -> None:
        store = get_store()
        now, _ = store.get([])
        after, sids = "", []
        with transaction.atomic():
            while page := store.all(after, PAGE):
                after = page[-1].sid
                for record in page:
                    if record.policy.idle_timeout == idle:
                        sids.append(record.sid)
                        policy = Policy(now + seconds - record.last_activity_at, warn)
                        store.set_policy(record.sid, policy)
        bus.nudge(sids)
        self.stdout.write(str(now + seconds))
