"""The table of the ORM store. Read it through a store: a row's phase depends on the clock."""

from django.db import models
from django.utils.translation import gettext_lazy as _

NEVER = 1e15
"""Epoch seconds far beyond any deadline: what ``hard_end_at`` holds where nothing limits a session."""


TEXT_LENGTHS = {"ip_address": 45, "user_agent": 255}
"""What is kept of texts that clients send."""


class MonitoredSession(models.Model):
    """One record. Instants are epoch seconds of the store's clock, durations are seconds.

    No column that a touch writes is indexed, so that PostgreSQL can update the row in place
    (heap-only tuples): sweeps use ``due_after``, a lower bound of the deadline that they advance. The
    limits are what policy and expiry come to, worked out for SQL. ``claimed_at`` is null but from the end
    until all that follows is done: it says since when somebody has been at it, ``claimed_by`` who.
    """

    sid = models.CharField(max_length=32, primary_key=True)
    user_id = models.CharField(_("user id"), max_length=255, db_index=True)
    session_key = models.CharField(max_length=255, default="", editable=False, db_index=True)
    credentials = models.CharField(max_length=255, default="", editable=False)
    started_at = models.FloatField(_("started"))
    last_activity_at = models.FloatField(_("last activity"))
    previous_activity_at = models.FloatField()
    idle_timeout = models.FloatField(_("idle timeout"))
    warn_before = models.FloatField(_("warn before"))
    absolute_timeout = models.FloatField(_("absolute timeout"), null=True)
    tab_close_grace = models.FloatField(_("tab close grace"), null=True)
    activity_extends_in_warning = models.BooleanField()
    idle_cap = models.FloatField(null=True)
    fixed_end_at = models.FloatField(null=True)
    idle_limit = models.FloatField()
    warn_limit = models.FloatField()
    hard_end_at = models.FloatField()
    joined_at = models.FloatField()
    paged_at = models.FloatField()
    closing_at = models.FloatField(null=True)
    saved_at = models.FloatField()
    cookie_age = models.FloatField()
    due_after = models.FloatField(null=True, db_index=True)
    ended_at = models.FloatField(_("ended"), null=True, db_index=True)
    end_reason = models.CharField(_("reason"), max_length=16, default="")
    finished = models.BooleanField(default=False)
    claimed_at = models.FloatField(null=True, editable=False, db_index=True)
    claimed_by = models.CharField(max_length=32, default="", editable=False)
    ip_address = models.CharField(
        _("IP address"), max_length=TEXT_LENGTHS["ip_address"], default=""
    )
    user_agent = models.CharField(
        _("user agent"), max_length=TEXT_LENGTHS["user_agent"], default=""
    )

    class Meta:
        verbose_name = _("monitored session")
        verbose_name_plural = _("monitored sessions")

    def __str__(self) -> str:
        return f"{self.sid[:8]}…"


class TabPresence(models.Model):
    """That a process holds tabs of a session, until its lease runs out (epoch seconds)."""

    sid = models.CharField(max_length=32)
    process = models.CharField(max_length=64)
    until = models.FloatField(db_index=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("sid", "process"), name="realtime_session_one_presence_each"
            ),
        )

    def __str__(self) -> str:
        return f"{self.sid[:8]}…"
