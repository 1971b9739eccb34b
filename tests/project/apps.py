import os

from django.apps import AppConfig


class TestsConfig(AppConfig):
    name = "tests.project"

    def ready(self) -> None:
        if "TESTS_SCRATCH" in os.environ:
            from realtime_session.signals import session_ended
            from tests.project import ends

            session_ended.connect(ends.write)
