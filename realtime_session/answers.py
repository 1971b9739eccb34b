"""What a request gets whose session has ended: an answer that its client can use, with the reason."""

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

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
    """Return what an ended session's request gets in place of the view's ``response``.

    A script gets an answer that it can use where the view asks for a login; what people see stays: a
    redirect to the login, or a page that is public.
    """
    if not _asks_for_login(response):
        return response
    return _for_script(request, ended, now) or response


def login_needed(request: HttpRequest, ended: SessionEnded, now: float) -> HttpResponseBase:
    """Return what leads to the login, whatever the view did: 401, ``HX-Redirect`` or a redirect."""
    answer = _for_script(request, ended, now)
    login_url = presenter.login_url()
    if answer is not None:
        return answer
    if login_url is None:
        return expired(ended.reason, now)
    # Nobody can be sent back to the result of a form that was not processed.
    is_page = request.method in ("GET", "HEAD")
    path = request.get_full_path() if is_page else _path_of(request.headers.get("Referer", ""))
    return redirect_to_login(path, login_url)


def _for_script(request: HttpRequest, ended: SessionEnded, now: float) -> HttpResponse | None:
    login_url = presenter.login_url()
    if request.headers.get("HX-Request") == "true" and login_url is not None:
        target = redirect_to_login(_path_of(request.headers.get("HX-Current-URL", "")), login_url)
        return HttpResponse(headers={"HX-Redirect": target["Location"]})
    return expired(ended.reason, now) if _wants_json(request) else None


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


def _path_of(url: str) -> str:
    """Return path and query of the page that a script's or form's request comes from."""
    parts = urlsplit(url)
    return urlunsplit(("", "", parts.path or "/", parts.query, ""))
