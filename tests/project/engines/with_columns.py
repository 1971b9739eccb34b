"""A session engine that records the browser in a column, as those of device lists do."""

from typing import Any

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore


class SessionStore(DatabaseStore):
    def __init__(self, session_key: str | None = None, user_agent: str = "") -> None:
        super().__init__(session_key)
        self.user_agent = user_agent

    @classmethod
    def get_model_class(cls) -> Any:
        from tests.project.models import DeviceSession

        return DeviceSession

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        row: Any = super().create_model_instance(data)
        row.user_agent = self.user_agent
        return row
