import os

from django.apps import AppConfig

from realtime_session import monitor
from realtime_session.signals import session_ended
from tests.faults.site import ends, queries


class SiteConfig(AppConfig):
    name = "tests.faults.site"
    label = "faults_site"

    def ready(self) -> None:
        session_ended.connect(ends.write)
        queries.watch()
        if "TESTS_SETTLE_AFTER" in os.environ:
            monitor.SETTLE_AFTER = float(os.environ["TESTS_SETTLE_AFTER"])
