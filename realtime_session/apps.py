"""The Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RealtimeSessionConfig(AppConfig):
    """Connects what must be connected once Django's own apps are ready."""

    name = "realtime_session"
    verbose_name = _("Sessions")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, journal, logins  # noqa: F401  # they connect themselves
