"""Django's database sessions, in a process that may die around the deletion of one."""

from django.contrib.sessions.backends import db

from tests.faults.site import death


# By this name: Django signs what a session holds with the name of its class.
class SessionStore(db.SessionStore):
    def delete(self, session_key: str | None = None) -> None:
        death.maybe("ended")
        super().delete(session_key)
        death.maybe("deleted")


if death.STEP is None:
    # An engine that deletes in a way of its own is not asked to delete many at once.
    SessionStore = db.SessionStore  # type: ignore[misc]
