"""Time without waiting: sessions that were last active a while ago."""

from asgiref.sync import sync_to_async
from django.db.models import F
from django.test import Client

from realtime_session.engine import SID_KEY
from realtime_session.looks import looks
from realtime_session.models import MonitoredSession


def sid_of(client: Client) -> str:
    return client.session[SID_KEY]


def age(client: Client, seconds: float) -> str:
    """Make the client's session as it will be in so many seconds if nothing happens; return its sid."""
    sid = sid_of(client)
    MonitoredSession.objects.filter(sid=sid).update(
        started_at=F("started_at") - seconds,
        last_activity_at=F("last_activity_at") - seconds,
        saved_at=F("saved_at") - seconds,
        hard_end_at=F("hard_end_at") - seconds,
        due_after=F("due_after") - seconds,
    )
    looks.forget([sid])
    return sid


aage = sync_to_async(age)
asid_of = sync_to_async(sid_of)
