"""What one would write with Channels alone, as its tutorial has it: one group for each session.

It does less than ours: it stores nothing, and knows no deadlines.
"""

import json
import time

from channels.generic.websocket import AsyncWebsocketConsumer
from django.urls import path


class StockConsumer(AsyncWebsocketConsumer):
    """One tab's socket, with a channel in the group of its session."""

    async def connect(self) -> None:
        if not self.scope["user"].is_authenticated:
            await self.close()
            return
        self.last_activity = time.time()
        self.group_name = f"session_{self.scope['session'].session_key}"
        await self.channel_layer.group_add(self.group_name, self.channel_name)
        await self.accept()
        await self.send_state()

    async def disconnect(self, close_code: int) -> None:
        if hasattr(self, "group_name"):
            await self.channel_layer.group_discard(self.group_name, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        message = json.loads(text_data or "")
        if message["type"] == "activity":
            self.last_activity = time.time()
        elif message["type"] == "sync":
            await self.send_state()

    async def session_tell(self, event: dict[str, str]) -> None:
        await self.send(text_data=json.dumps({"type": event["what"], "at": time.time()}))

    async def send_state(self) -> None:
        state = {"type": "state", "at": time.time(), "last_activity": self.last_activity}
        await self.send(text_data=json.dumps(state))


websocket_urlpatterns = [path("ws/session/", StockConsumer.as_asgi())]
