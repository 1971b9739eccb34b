import os
from typing import Any

from django.apps import AppConfig

from realtime_session import monitor
from realtime_session.signals import session_ended
from tests.faults.site import death, queries
from tests.project import ends


class SiteConfig(AppConfig):
    name = "tests.faults.site"
    label = "faults_site"

    def ready(self) -> None:
        session_ended.disconnect(ends.write)
        session_ended.connect(write_or_die)
        queries.watch()
        if "TESTS_SETTLE_AFTER" in os.environ:
            monitor.SETTLE_AFTER = float(os.environ["TESTS_SETTLE_AFTER"])


def write_or_die(**end: Any) -> None:
    death.maybe("nudged")
    ends.write(**end)
    death.maybe("signalled")
