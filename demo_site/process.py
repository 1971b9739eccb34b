"""Tells each tab which process holds its socket.

The process says so itself, on that very socket, in a message of the demo's own: clients ignore types
that they do not know.
"""

import json
import os
import time
from typing import Any

from . import environment

SERVER = environment.text("DEMO_SERVER", "daphne")


class TellsProcess:
    """Wraps the application of the sockets."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        told = False

        async def send_and_tell(message: dict[str, Any]) -> None:
            nonlocal told
            await send(message)
            if message["type"] == "websocket.send" and not told:
                # Second, as the protocol wants `state` to be the first.
                told = True
                await send({"type": "websocket.send", "text": _process()})

        await self._application(scope, receive, send_and_tell)


def _process() -> str:
    return json.dumps({"type": "process", "at": time.time(), "server": SERVER, "pid": os.getpid()})
