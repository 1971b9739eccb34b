"""Django's session middleware for the engine with a column: it takes the browser along."""

from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest


class DeviceSessionMiddleware(SessionMiddleware):
    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        if hasattr(request.session, "user_agent"):
            request.session.user_agent = request.headers.get("User-Agent", "")
