"""For pages without a socket, and for the cookie: ``state/``, ``extend/`` and ``refresh/``, as JSON.

And ``metrics``, which a project gives a place of its own, since it has to say who may see them.
"""

import time
from collections.abc import Callable
from functools import wraps

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_GET, require_POST, require_safe

from . import answers, engine, monitor, presenter
from . import metrics as measured
from .decorators import passive
from .local_session import unavailable
from .policy import EndReason, Record, evaluate
from .stores import StoreUnavailable

SessionView = Callable[[HttpRequest, Record, float], HttpResponse]


def _for_live_session(*, extend: bool) -> Callable[[SessionView], Callable[..., HttpResponse]]:
    """Give the view the live record and the store's now; answer ``expired`` with 401 where there is none."""

    def decorate(view: SessionView) -> Callable[..., HttpResponse]:
        @wraps(view)
        def wrapped(request: HttpRequest) -> HttpResponse:
            sid = monitor.sid_of(request)
            if sid is None:
                ended = getattr(request, "session_ended", None)
                return answers.expired(ended.reason if ended else EndReason.UNKNOWN, time.time())
            try:
                if not request.user.is_authenticated:
                    # Deleted, deactivated, or with another password: Django would not let them in.
                    monitor.end(sid, EndReason.REVOKED)
                found = monitor.admit(sid, counts=extend, extend=extend)
            except StoreUnavailable:
                return answers.json_message(unavailable(time.time()), status=503)
            if found.ended is not None or found.record is None:
                return answers.expired(found.ended or EndReason.UNKNOWN, found.now)
            return view(request, found.record, found.now)

        return wrapped

    return decorate


@login_not_required
@passive
@never_cache
@require_GET
@_for_live_session(extend=False)
def state(request: HttpRequest, record: Record, now: float) -> HttpResponse:
    """Answer the protocol's ``state``; no activity."""
    return answers.json_message(presenter.state(record, now))


@login_not_required
@passive
@never_cache
@require_POST
@csrf_protect
@_for_live_session(extend=True)
def extend(request: HttpRequest, record: Record, now: float) -> HttpResponse:
    """Move the idle deadline, since the user chose to stay; answer the protocol's ``extended``."""
    return answers.json_message(presenter.extended(evaluate(record, now), now))


@login_not_required
@passive
@never_cache
@require_POST
@csrf_protect
@_for_live_session(extend=False)
def refresh(request: HttpRequest, record: Record, now: float) -> HttpResponse:
    """Have Django save its session and send its cookie again; no activity; answers 204."""
    engine.renew(request.session)
    return HttpResponse(status=204)


@passive
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer the metrics to Prometheus; no activity.

    Raises ImproperlyConfigured where ``prometheus_client`` is not installed.
    """
    if not measured.IS_INSTALLED:
        raise ImproperlyConfigured("Metrics need prometheus_client, which is not installed.")
    text, content_type = measured.text(request.headers.get("Accept", ""))
    return HttpResponse(text, content_type=content_type)
