"""A process that nudges and serves no sockets: ``python -m tests.bus.sender BACKEND URL THREADS SID…``.

Each thread sends its share of the sids, one nudge each. Prints how long the slowest nudge took, in seconds.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings


def main() -> None:
    backend, url, threads, *sids = sys.argv[1:]
    settings.configure(
        CHANNEL_LAYERS={"default": {"BACKEND": backend, "CONFIG": {"hosts": [url]}}},
        REALTIME_SESSION={},
    )
    from realtime_session import bus

    def nudge(sid: str) -> float:
        began = time.monotonic()
        bus.nudge([sid])
        return time.monotonic() - began

    with ThreadPoolExecutor(int(threads)) as pool:
        sys.stdout.write(str(max(pool.map(nudge, sids))))


main()
