"""Which process serves a socket: it says so before anything else, where the address asks ``?process``."""

import json
import os
from typing import Any


class TellsProcess:
    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def send_with_process(message: dict[str, Any]) -> None:
            await send(message)
            if message["type"] == "websocket.accept":
                text = json.dumps({"type": "process", "pid": os.getpid()})
                await send({"type": "websocket.send", "text": text})

        asks = scope.get("query_string") == b"process"
        await self._application(scope, receive, send_with_process if asks else send)
