"""``path("health/", include("realtime_session.health_urls"))``."""

from django.urls import path

from . import health

app_name = "realtime_session_health"
urlpatterns = [
    path("live/", health.live, name="live"),
    path("ready/", health.ready, name="ready"),
]
