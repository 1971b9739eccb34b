"""The process that tells tabs of another one: ``python -m bench.sender ours|stock warning|extended``.

Reads what the sessions are called, one a line: sids, or for stock session keys; then ``ready``. Says so as
well once it is, and begins to tell when it reads another line. Prints the epoch second of that. For ours the
store says by then what the tabs are to hear.
"""

import asyncio
import sys
import time

import django
from msgspec.structs import replace

READY = "ready"
IDLE_FOR = {"warning": 800.0, "extended": 0.0}


def main() -> None:
    side, what = sys.argv[1:]
    names = [line.strip() for line in iter(sys.stdin.readline, f"{READY}\n")]
    django.setup()
    print(tell_ours(names, what) if side == "ours" else asyncio.run(tell_stock(names, what)))


def tell_ours(sids: list[str], what: str) -> float:
    from channels.layers import get_channel_layer

    from realtime_session import bus
    from realtime_session.stores import get_store

    # Imported once in the life of a process, and by stock before it begins as well.
    get_channel_layer()
    store = get_store()
    now, records = store.get(sids)
    active_at = now - IDLE_FOR[what]
    for record in records.values():
        # As of another login: of this one, the other process would restore what it knows to be later.
        store.open(replace(record, started_at=active_at, last_activity_at=active_at))
    began = _when_told()
    bus.nudge(sids)
    return began


async def tell_stock(session_keys: list[str], what: str) -> float:
    from channels.layers import get_channel_layer

    layer = get_channel_layer()
    assert layer is not None
    began = _when_told()
    for session_key in session_keys:
        await layer.group_send(f"session_{session_key}", {"type": "session.tell", "what": what})
    return began


def _when_told() -> float:
    print(READY, flush=True)
    sys.stdin.readline()
    return time.time()


if __name__ == "__main__":
    main()
