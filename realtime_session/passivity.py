"""Which requests are a person's activity, and which are a deliberate choice to stay."""

from django.http import HttpRequest
from django.urls import Resolver404, resolve

from . import conf
from .decorators import is_passive_view


def is_passive(request: HttpRequest) -> bool:
    """Say whether a request is no activity: by header, path, URL name or decorator."""
    settings = conf.current()
    if request.headers.get("X-Session-Passive") == "1" or is_lost_handshake(request):
        return True
    if any(pattern.search(request.path) for pattern in settings.passive_urls):
        return True
    try:
        match = resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return False
    return match.view_name in settings.passive_url_names or is_passive_view(match.func)


def is_lost_handshake(request: HttpRequest) -> bool:
    """Say whether a tab tried to open a socket, and a proxy or a WSGI server made a request of it.

    The tab tries again and again: if that counted, it would keep its session for ever.
    """
    return "Sec-WebSocket-Version" in request.headers


def is_deliberate(request: HttpRequest) -> bool:
    """Say whether a request stands for a person who goes on: a page that was opened or a form that was sent.

    What a page fetches by itself, or a browser ahead of time, is mere activity: Fetch Metadata say so, and
    where they are missing, as over plain HTTP, the marks that scripts leave. Clients that leave none are
    taken for a person's: they hear no warning.
    """
    headers = request.headers
    if "Sec-Purpose" in headers or headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
        return False
    is_script = "HX-Request" in headers or "X-Requested-With" in headers
    return not is_script and request.accepts("text/html")
