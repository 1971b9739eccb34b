"""Whether the process answers, and whether it can do its work: for probes, of which nothing is asked.

They carry no cookie, so that they touch no session and count as nobody's activity; what is said to them is
no secret. ``path("health/", include("realtime_session.health_urls"))`` gives them a place.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from . import channel_layer
from .decorators import passive
from .logs import get_logger
from .stores import get_store
from .threads import DatabaseThreads

logger = get_logger(__name__)

READY_WITHIN = 2.0
"""Seconds within which ``ready`` has an answer, whatever hangs."""
GROUP = "realtime-session-health"
"""A group of the channel layer that nobody is in."""


class Question:
    """Something that may hang: it is asked on a thread, and not anew while it is under way."""

    def __init__(self, name: str, ask: Callable[[], str]) -> None:
        self._name = name
        self._ask = ask
        self._lock = threading.Lock()
        self._answer: Future[str] | None = None

    def begin(self) -> "Future[str]":
        """Return the answer to come."""
        with self._lock:
            if self._answer is None or self._answer.done():
                threads = DatabaseThreads(1, f"realtime-session-{self._name}")
                self._answer = threads.submit(self._ask)
                threads.stop()
            return self._answer


def _ask_store() -> str:
    # A sid that nobody has: stores need not ask anybody about no sids at all.
    get_store().get([GROUP])
    return "ok"


def _ask_layer() -> str:
    return "none" if channel_layer.crossing_layer() is None else asyncio.run(_send())


async def _send() -> str:
    layer: Any = channel_layer.own_layer()
    try:
        async with asyncio.timeout(READY_WITHIN):
            await layer.group_send(GROUP, {"type": "realtime_session.health"})
    finally:
        await channel_layer.close(layer)
    return "ok"


_store = Question("ask-store", _ask_store)
_layer = Question("ask-layer", _ask_layer)


def _answer(question: "Future[str]", give_up_at: float) -> str:
    try:
        return question.result(max(0.0, give_up_at - time.monotonic()))
    except TimeoutError:
        return f"no answer within {READY_WITHIN:g} s"
    except Exception as error:
        # Its name alone: what it says may name hosts and users.
        return type(error).__name__


@login_not_required
@passive
@never_cache
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """Answer 200: the process runs and serves requests. Asks nothing and nobody."""
    return JsonResponse({"status": "live"})


@login_not_required
@passive
@never_cache
@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """Answer 200 if the store answers, else 503; within ``READY_WITHIN`` seconds.

    A channel layer that fails is ``degraded``, and still 200: all processes are on the same one, so that a
    503 would take all of them away, and what is lost is some speed. Tabs then hear of what happened in
    another process when theirs looks by itself.
    """
    store, layer = _store.begin(), _layer.begin()
    give_up_at = time.monotonic() + READY_WITHIN
    found = {"store": _answer(store, give_up_at), "channel_layer": _answer(layer, give_up_at)}
    if found["store"] != "ok":
        status = "unready"
    else:
        status = "ready" if found["channel_layer"] in ("ok", "none") else "degraded"
    if status != "ready":
        logger.warning(
            "A probe was told %s: store %s, channel layer %s.",
            status,
            found["store"],
            found["channel_layer"],
            extra={
                "event": "not_ready",
                "status": status,
                "store": found["store"],
                "channel_layer": found["channel_layer"],
            },
        )
    return JsonResponse({"status": status, **found}, status=503 if status == "unready" else 200)
