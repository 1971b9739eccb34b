"""The site's pages and their addresses."""

import secrets
import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import include, path
from django.utils.functional import SimpleLazyObject
from django.views.static import serve

SELF_ONLY = "default-src 'self'"
NONCE_ONLY = "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; connect-src 'self'"


def content_security_policy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Allows what comes from here; under /nonce/ only what bears the nonce, lazy as django-csp's."""

    def middleware(request: HttpRequest) -> HttpResponse:
        policy = SELF_ONLY
        if request.path == "/nonce/":
            nonce = secrets.token_urlsafe()
            request.csp_nonce = SimpleLazyObject(lambda: nonce)
            policy = NONCE_ONLY.format(nonce)
        response = get_response(request)
        response["Content-Security-Policy"] = policy
        return response

    return middleware


@login_required
def page(request: HttpRequest, logout_url: str | None = None) -> HttpResponse:
    return render(request, "page.html", {"logout_url": logout_url})


@login_required
def headless(request: HttpRequest) -> HttpResponse:
    return render(request, "headless.html")


@login_required
def bare(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<!doctype html><title>Bare</title><h1>Confidential</h1>")


def public(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<!doctype html><title>Public</title>")


class SlowLogoutView(LogoutView):
    """Answers so late that the tab has long been told of the end over its socket."""

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        response = super().dispatch(request, *args, **kwargs)
        time.sleep(1)
        return response


urlpatterns = [
    path("login/", LoginView.as_view(template_name="login.html"), name="login"),
    path("leave/", SlowLogoutView.as_view()),
    path("goodbye/", public, name="goodbye"),
    path("public/", public, name="public"),
    path("page/", page, {"logout_url": "/leave/"}, name="page"),
    path("nonce/", page, name="nonce"),
    path("bare/", bare),
    path("headless/", headless, name="headless"),
    path("session/", include("realtime_session.urls")),
    path("static/<path:path>", serve, {"document_root": settings.STATIC_ROOT}),
]
