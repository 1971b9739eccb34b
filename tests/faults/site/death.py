"""Where in the course of an end this process dies, if it is to: ``TESTS_DIE_AT`` names the step.

``ended``: the store knows. ``deleted``: so does Django. ``nudged``: tabs are being told. ``signalled``: a
receiver of the signal has heard it.
"""

import os
import signal

STEP = os.environ.get("TESTS_DIE_AT")


def maybe(step: str) -> None:
    if step == STEP:
        os.kill(os.getpid(), signal.SIGKILL)
