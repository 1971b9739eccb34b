import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from bench.people import begin
from realtime_session.policy import Policy


class Command(BaseCommand):
    help = "Logs people in without their passwords, and prints their sids and session keys as JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("count", type=int)
        parser.add_argument("idle", type=float)
        parser.add_argument("warn", type=float)

    def handle(self, **options: Any) -> None:
        policy = Policy(options["idle"], options["warn"])
        self.stdout.write(json.dumps(begin(options["count"], lambda index: policy)))
