"""What a request gets whose session has ended: an answer that its client can use, with the reason."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import add_never_cache_headers

from . import presenter, protocol
from .policy import EndReason


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """``request.session_ended``: why the session behind the cookie is over, and what to tell people."""

    reason: EndReason
    message: str


def json_message(message: protocol.ServerMessage, status: int = 200) -> HttpResponse:
    """Return a protocol message as a JSON response that no cache keeps."""
    response = HttpResponse(
        protocol.encode(message), content_type="application/json", status=status
    )
    add_never_cache_headers(response)
    return response


def expired(reason: EndReason, now: float) -> HttpResponse:
    """Return 401 with the protocol's ``expired``."""
    return json_message(presenter.expired(reason, now), status=401)


def in_place_of(
    request: HttpRequest, response: HttpResponseBase, ended: SessionEnded, now: float
) -> HttpResponseBase:
    """Return what an ended session's request gets in place of ``response``.

    Only an answer that asks for a login is replaced: public pages are for anonymous people as well.
    """
    return login_needed(request, ended, now) if _asks_for_login(response) else response


def login_needed(request: HttpRequest, ended: SessionEnded, now: float) -> HttpResponseBase:
    """Return what leads to the login: 401 for a fetch, ``HX-Redirect`` for htmx, else a redirect."""
    login_url = presenter.login_url()
    if request.headers.get("HX-Request") == "true":
        page = urlsplit(request.headers.get("HX-Current-URL", ""))
        target = redirect_to_login(f"{page.path or '/'}{'?' if page.query else ''}{page.query}")
        return HttpResponse(headers={"HX-Redirect": target["Location"]})
    if _wants_json(request) or login_url is None:
        return expired(ended.reason, now)
    # Nobody can be sent back to the result of a form that was not processed.
    path = request.get_full_path() if request.method in ("GET", "HEAD") else _referring(request)
    return redirect_to_login(path, login_url)


def _wants_json(request: HttpRequest) -> bool:
    if request.headers.get("Sec-Fetch-Dest") == "empty":
        return True
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def _asks_for_login(response: HttpResponseBase) -> bool:
    if response.status_code in (401, 403):
        return True
    login_url = presenter.login_url()
    location = urlsplit(response.get("Location", ""))
    return login_url is not None and location.path == urlsplit(login_url).path


def _referring(request: HttpRequest) -> str:
    referrer = urlsplit(request.headers.get("Referer", ""))
    if referrer.netloc != request.get_host():
        return "/"
    return f"{referrer.path}{'?' if referrer.query else ''}{referrer.query}"
