"""Writes down each end that a server process signals, for tests that count them over all processes."""

import os
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings

ENDS = "ends"


class TestsConfig(AppConfig):
    name = "tests.project"

    def ready(self) -> None:
        if "TESTS_SCRATCH" in os.environ:
            from realtime_session.signals import session_ended

            session_ended.connect(write_down)


def write_down(sid: str, reason: str, **more: Any) -> None:
    # One short write to a file opened for appending: processes do not mix.
    with (Path(settings.SCRATCH) / ENDS).open("a") as file:
        file.write(f"{os.getpid()} {sid} {reason}\n")
