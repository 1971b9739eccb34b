"""``websocket_urlpatterns``, for the ``URLRouter`` of a project's ``asgi.py``.

Each pattern checks origin, cookie, session and user by itself: it needs no wrapper, and bears any.
"""

from django.urls import path

from .consumers import SessionConsumer

websocket_urlpatterns = [path("ws/session/", SessionConsumer.as_asgi())]  # type: ignore[arg-type]
