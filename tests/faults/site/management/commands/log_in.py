import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from bench.people import PolicyFor, begin
from realtime_session.policy import Policy


class Command(BaseCommand):
    help = "Logs people in without their passwords, and prints their sids and session keys as JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("count", type=int)
        parser.add_argument("idle", type=float, help="idle timeout of the first of them")
        parser.add_argument("warn", type=float)
        parser.add_argument(
            "--spread", type=float, default=0.0, help="by which the last one's is longer"
        )
        parser.add_argument("--together", action="store_true", help="all are due at one instant")

    def handle(self, **options: Any) -> None:
        policy_for = together(options) if options["together"] else one_by_one(options)
        self.stdout.write(json.dumps(begin(options["count"], policy_for)))


def one_by_one(options: dict[str, Any]) -> PolicyFor:
    step = options["spread"] / max(1, options["count"] - 1)
    return lambda index: Policy(options["idle"] + index * step, options["warn"])


def together(options: dict[str, Any]) -> PolicyFor:
    due_at = time.monotonic() + options["idle"]
    return lambda index: Policy(due_at - time.monotonic(), options["warn"])
