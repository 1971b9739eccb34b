"""Each ``session_ended`` of all server processes, a line of JSON in one file: tests count them."""

import json
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings

NAME = "ends.jsonl"


class End(NamedTuple):
    pid: int
    sid: str
    reason: str
    at: float
    signalled_at: float


def write(sid: str, reason: str, at: float, **kwargs: Any) -> None:
    line = json.dumps(End(os.getpid(), sid, reason, at, time.time())) + "\n"
    # One write to a file that is opened to append: lines of two processes do not mix.
    file = os.open(settings.SCRATCH / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, line.encode())
    os.close(file)


def read(scratch: Path) -> list[End]:
    file = scratch / NAME
    return (
        [End(*json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []
    )
