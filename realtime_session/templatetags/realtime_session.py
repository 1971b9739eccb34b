"""`{% session_monitor %}`: the session dialog and its script, or only what a front end of your own needs."""

from typing import Any

from django import template
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.template import Context
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse

from realtime_session import conf

register = template.Library()

# Seconds left when a screen reader is told so: nobody can listen to a countdown that speaks each second.
MARKS = (600, 300, 120, 60, 30, 10)


@register.inclusion_tag("realtime_session/session_monitor.html", takes_context=True)
def session_monitor(
    context: Context, logout_url: str | None = None, dialog: bool = True
) -> dict[str, Any]:
    """
    Goes before `</body>`. Renders nothing unless the context has a request with a logged-in user.

    `logout_url` is where "Sign out" posts to: by default the setting, else the URL named `logout` or
    `account_logout`; without any of them "Sign out" ends the session over the socket. With `dialog=False`
    there are only the configuration and the CSRF token, for a front end of your own on `client.js`.
    """
    request: HttpRequest | None = context.get("request")
    if request is None or not getattr(request, "user", AnonymousUser()).is_authenticated:
        return {}
    nonce = context.get("csp_nonce")
    if nonce is None:
        nonce = getattr(request, "csp_nonce", None)
    return {
        "config": _client_config(),
        "csrf_token": get_token(request),
        "dialog": dialog,
        "logout_url": logout_url
        or conf.current().logout_url
        or _reverse("logout", "account_logout"),
        "marks": MARKS,
        # Never test its truth: it is lazy, and false until somebody rendered it.
        "nonce": nonce,
    }


def _client_config() -> dict[str, str | None]:
    return {
        "socket": conf.current().websocket_url,
        "state": _reverse("realtime_session:state"),
        "extend": _reverse("realtime_session:extend"),
        "client": static("realtime_session/client.js"),
    }


def _reverse(*names: str) -> str | None:
    for name in names:
        try:
            return reverse(name)
        except NoReverseMatch:
            continue
    return None
