"""What a request gets whose session has ended: an answer that its client can use, with the reason."""

from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.urls import Resolver404, ResolverMatch, resolve, reverse
from django.utils.cache import add_never_cache_headers
from django.utils.http import escape_leading_slashes
from msgspec import json, structs, to_builtins

from . import presenter, protocol
from .policy import EndReason


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """``request.session_ended``: why the session behind the cookie is over, and what to tell people."""

    reason: EndReason
    message: str


class Login(NamedTuple):
    """A login page, if there is one, and the parameter, if any, that tells it where to go on."""

    url: str | None
    field: str = REDIRECT_FIELD_NAME


def json_message(message: protocol.ServerMessage, status: int = 200) -> HttpResponse:
    """Return a protocol message as a JSON response that no cache keeps."""
    return _json(protocol.encode(message), status)


def expired(reason: EndReason, now: float) -> HttpResponse:
    """Return 401 with the protocol's ``expired``."""
    return json_message(presenter.expired(reason, now), status=401)


def in_place_of(
    request: HttpRequest, response: HttpResponseBase, ended: SessionEnded, now: float
) -> HttpResponseBase:
    """Return what an ended session's request gets in place of the view's ``response``.

    Where the view asks for a login, a script gets an answer that it can use, and a person the login page.
    What is public stays, and so does the answer of a login page, and of a view that knows its client by
    other means than the session, such as a token.
    """
    if request.user.is_authenticated or is_login_page(request):
        return response
    login = _login_asked_for(request, response)
    if login is None:
        return response
    is_script = _is_script(request) or response.get("Content-Type") == "application/json"
    if not is_script and (response.status_code == 401 or _leads_back(request, response)):
        # 401 asks for HTTP's own authentication, for which no login page stands in.
        return response
    return _lead_to(login, request, ended, now, is_script=is_script)


def login_needed(request: HttpRequest, ended: SessionEnded, now: float) -> HttpResponseBase:
    """Return what leads to the login, whatever the view did: 401, ``HX-Redirect`` or a redirect."""
    return _lead_to(_login_of(request), request, ended, now, is_script=_is_script(request))


def is_login_page(request: HttpRequest) -> bool:
    """Say whether a request is for the project's login page, ``LOGIN_URL``, or for that of an admin."""
    match = _admin_match(request)
    if match is not None and match.url_name == "login":
        return True
    return _is_login_url(request, "", request.path)


def _lead_to(
    login: Login, request: HttpRequest, ended: SessionEnded, now: float, *, is_script: bool
) -> HttpResponse:
    if login.url is None or (is_script and not _is_htmx(request)):
        message = structs.replace(presenter.expired(ended.reason, now), redirect=login.url)
        # "detail" is where clients of Django REST framework look.
        return _json(json.encode({**to_builtins(message), "detail": ended.message}), status=401)
    page = _page_of(request)
    redirect = redirect_to_login(page, login.url, login.field if page else "")
    if not _is_htmx(request):
        return redirect
    response = HttpResponse(headers={"HX-Redirect": redirect.url})
    add_never_cache_headers(response)
    return response


def _login_asked_for(request: HttpRequest, response: HttpResponseBase) -> Login | None:
    """Return the login page that a response wants; None if it is another kind of response.

    A redirect wants one that leads to ``LOGIN_URL``, or anywhere with this request's own address as the
    one to come back to, as ``login_required`` and its kin, the admin's included, do.
    """
    if response.status_code in (401, 403):
        return _login_of(request)
    if not 300 <= response.status_code < 400:
        return None
    location = urlsplit(response.get("Location", ""))
    query = QueryDict(location.query, mutable=True)
    here = (request.get_full_path(), request.build_absolute_uri())
    field = next((name for name, value in query.items() if value in here), "")
    if not field and not _is_login_url(request, location.netloc, location.path):
        return None
    query.pop(field, None)
    return Login(urlunsplit(location._replace(query=query.urlencode(safe="/"))), field)


def _leads_back(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Say whether a login that a redirect leads to could lead back: to the result of a form it could not."""
    return response.has_header("Location") and request.method in ("GET", "HEAD")


def _login_of(request: HttpRequest) -> Login:
    """Return where people log in for the page that is requested: an admin has a login of its own."""
    match = _admin_match(request)
    if match is not None:
        return Login(reverse("admin:login", current_app=match.namespace))
    return Login(presenter.login_url())


def _is_login_url(request: HttpRequest, host: str, path: str) -> bool:
    login_url, here = urlsplit(presenter.login_url() or ""), request.get_host()
    return (host or here, path) == (login_url.netloc or here, login_url.path)


def _admin_match(request: HttpRequest) -> ResolverMatch | None:
    try:
        match = resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return None
    return match if match.app_name == "admin" else None


def _is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def _is_script(request: HttpRequest) -> bool:
    if _is_htmx(request) or request.headers.get("Sec-Fetch-Dest") == "empty":
        return True
    # Where there is no TLS, browsers leave Sec-Fetch-Dest out.
    if request.headers.get("X-Requested-With") == "XMLHttpRequest":
        return True
    return request.get_preferred_type(["text/html", "application/json"]) != "text/html"


def _page_of(request: HttpRequest) -> str:
    """Return path and query of the page to come back to, for a form the one that it is on; "" if unknown."""
    if _is_htmx(request):
        origin = urlsplit(request.headers.get("HX-Current-URL", ""))
    elif request.method in ("GET", "HEAD"):
        return request.get_full_path()
    else:
        origin = urlsplit(request.headers.get("Referer", ""))
    if origin.netloc != request.get_host():
        return ""
    return escape_leading_slashes(urlunsplit(("", "", origin.path or "/", origin.query, "")))


def _json(content: str | bytes, status: int) -> HttpResponse:
    response = HttpResponse(content, content_type="application/json", status=status)
    add_never_cache_headers(response)
    return response
