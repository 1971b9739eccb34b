"""Django's database sessions, in a process that may die around the deletion of one."""

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

from tests.faults.site import death


class MortalStore(DatabaseStore):
    def delete(self, session_key: str | None = None) -> None:
        death.maybe("ended")
        super().delete(session_key)
        death.maybe("deleted")


# An engine that deletes in a way of its own is not asked to delete many at once.
SessionStore = MortalStore if death.STEP else DatabaseStore
