"""A read-only list of sessions for staff. It never shows a session key."""

from datetime import UTC, datetime

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from .models import MonitoredSession


def _instant(value: float | None) -> datetime | None:
    return None if value is None else datetime.fromtimestamp(value, UTC)


@admin.register(MonitoredSession)
class MonitoredSessionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What happened when, to whom; nothing can be added, changed or deleted here."""

    list_display = ("short_sid", "user_id", "started", "last_activity", "ended", "end_reason")
    list_filter = ("end_reason",)
    search_fields = ("user_id",)
    ordering = ("-started_at",)
    fields = (
        "short_sid", "user_id", "started", "last_activity", "ended", "end_reason", "idle_timeout",
        "warn_before", "absolute_timeout", "ip_address", "user_agent",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description=_("session"))
    def short_sid(self, row: MonitoredSession) -> str:
        """The beginning of the sid, as in logs."""
        return str(row)

    @admin.display(description=_("started"), ordering="started_at")
    def started(self, row: MonitoredSession) -> datetime | None:
        """When the session began."""
        return _instant(row.started_at)

    @admin.display(description=_("last activity"), ordering="last_activity_at")
    def last_activity(self, row: MonitoredSession) -> datetime | None:
        """When the session was last active."""
        return _instant(row.last_activity_at)

    @admin.display(description=_("ended"), ordering="ended_at")
    def ended(self, row: MonitoredSession) -> datetime | None:
        """When the session ended."""
        return _instant(row.ended_at)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: sessions begin with a login."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Nobody: the table is the store's."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Nobody: a deleted tombstone would forget why a session ended."""
        return False
