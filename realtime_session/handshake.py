"""What a socket's handshake says: where it comes from, whose cookie it has, which language it wants."""

from functools import lru_cache
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.locale import LocaleMiddleware
from django.utils.http import is_same_domain
from django.utils.module_loading import import_string
from django.utils.translation import get_language, get_language_from_request

from . import conf
from .protocol import SUBPROTOCOL

Scope = dict[str, Any]


class Handshake:
    """The handshake of one WebSocket (RFC 6455, section 4), read with Django's own eyes."""

    def __init__(self, scope: Scope) -> None:
        scheme = "https" if scope.get("scheme") == "wss" else "http"
        http_scope = {**scope, "type": "http", "method": "GET", "scheme": scheme}
        self._request = ASGIRequest(http_scope, BytesIO())
        self._offered: list[str] = list(scope.get("subprotocols") or [])

    @property
    def has_allowed_origin(self) -> bool:
        """Whether there is an ``Origin`` that ``ALLOWED_ORIGINS``, else Django's CSRF check, allows."""
        origin = self._request.META.get("HTTP_ORIGIN")
        if not origin:
            return False
        allowed = conf.current().allowed_origins
        try:
            if allowed is None:
                return _OriginCheck(_no_response).allows(self._request)
            return any(_matches(origin.lower(), pattern) for pattern in allowed)
        except (DisallowedHost, ValueError):
            return False

    @property
    def session_key(self) -> str:
        """The value of the session cookie: a secret; "" where there is none."""
        return self._request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")

    @property
    def language(self) -> str:
        """The language in which the project would answer this browser's requests."""
        if any(_is_locale_middleware(name) for name in settings.MIDDLEWARE):
            return get_language_from_request(self._request)
        return get_language() or settings.LANGUAGE_CODE

    @property
    def script_name(self) -> str:
        """The path at which the project is mounted, without a slash at its end."""
        return str(self._request.META.get("SCRIPT_NAME") or "").rstrip("/")

    @property
    def subprotocol(self) -> str | None:
        """What to select: our own, None if the client offers nothing, else its first offer.

        A browser fails a handshake in which none of its offers is selected, and would never see why.
        """
        return SUBPROTOCOL if SUBPROTOCOL in self._offered else next(iter(self._offered), None)

    @property
    def has_common_subprotocol(self) -> bool:
        """Whether the client speaks this version, or takes what it gets."""
        return not self._offered or SUBPROTOCOL in self._offered


@lru_cache
def _is_locale_middleware(name: str) -> bool:
    found = import_string(name)
    return isinstance(found, type) and issubclass(found, LocaleMiddleware)


class _OriginCheck(CsrfViewMiddleware):
    def allows(self, request: HttpRequest) -> bool:
        return bool(self._origin_verified(request))  # type: ignore[attr-defined]


def _no_response(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def _matches(origin: str, pattern: str) -> bool:
    given, allowed = urlsplit(origin), urlsplit(pattern)
    if "*" not in pattern:
        return origin == pattern
    return given.scheme == allowed.scheme and is_same_domain(
        given.netloc, allowed.netloc.lstrip("*")
    )
