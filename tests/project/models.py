from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models


class DeviceSession(AbstractBaseSession):
    user_agent = models.CharField(max_length=255, default="")

    @classmethod
    def get_session_store_class(cls) -> type:
        from tests.project.engines.with_columns import SessionStore

        return SessionStore
