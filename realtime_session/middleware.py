"""The HTTP side: requests count as activity, and a session that has ended is served to nobody."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from .stores import StoreUnavailable
from .visit import Visit, try_again_later


class SessionMonitorMiddleware:
    """Place it after the authentication and messages middleware. Sync and async, under WSGI and ASGI.

    Sets ``request.session_ended``: None, or what ended the session that the request's cookie was for. Such
    a request goes on as anonymous, the cookie is deleted, and a message says why.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        visit = Visit(request)
        if self._is_async:
            return self._answer(visit)
        refusal = None if visit.is_known else visit.begin()
        response = refusal or self.get_response(request)
        visit.keep_from_caches(response)
        return visit.finish(response) if visit.has_more_to_do else response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer 503 where a view, such as that of the login, needed the store."""
        return try_again_later() if isinstance(exception, StoreUnavailable) else None

    async def _answer(self, visit: Visit) -> HttpResponseBase:
        # The session and the user are read on the thread on which Django reads them itself.
        refusal = None if visit.is_known else await sync_to_async(visit.begin)()
        response = refusal or await self.get_response(visit.request)
        visit.keep_from_caches(response)
        if visit.has_more_to_do:
            response = await sync_to_async(visit.finish)(response)
        return response
