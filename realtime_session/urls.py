"""``path("session/", include("realtime_session.urls"))``."""

from django.urls import path

from . import views

app_name = "realtime_session"
urlpatterns = [
    path("state/", views.state, name="state"),
    path("extend/", views.extend, name="extend"),
    path("refresh/", views.refresh, name="refresh"),
]
