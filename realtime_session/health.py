"""Whether the process answers, and whether it can do its work: for probes, of which nothing is asked.

They carry no cookie, so that they touch no session and count as nobody's activity; what is said to them is
no secret. They answer on the event loop where there is one: a slow view delays no probe, nor a probe a view.
``path("health/", include("realtime_session.health_urls"))`` gives them a place.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from . import channel_layer
from .decorators import passive
from .forks import in_each_fork
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
        self._reply: Future[str] | None = None

    async def answer(self) -> str:
        """Return the answer, the name of the error, or that there is none in time."""
        try:
            async with asyncio.timeout(READY_WITHIN):
                return await asyncio.wrap_future(self._asked())
        except TimeoutError:
            return f"no answer within {READY_WITHIN:g} s"

    def _asked(self) -> "Future[str]":
        with self._lock:
            if self._reply is None or self._reply.done():
                reply: Future[str] = Future()
                self._reply = reply
                # Else who gives up would take it from the others who wait.
                reply.set_running_or_notify_cancel()
                threads = DatabaseThreads(1, f"realtime-session-{self._name}")
                threads.submit(lambda: reply.set_result(self._try()))
                threads.stop()
            return self._reply

    def _try(self) -> str:
        try:
            return self._ask()
        except Exception as error:
            # Its name alone: what it says may name hosts and users.
            return type(error).__name__


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


@in_each_fork
def _begin_anew() -> None:
    global _store, _layer
    _store = Question("ask-store", _ask_store)
    _layer = Question("ask-layer", _ask_layer)


@login_not_required
@passive
@never_cache
@require_safe
async def live(request: HttpRequest) -> HttpResponse:
    """Answer 200: the process runs and serves requests. Asks nothing and nobody."""
    return JsonResponse({"status": "live"})


@login_not_required
@passive
@never_cache
@require_safe
async def ready(request: HttpRequest) -> HttpResponse:
    """Answer 200 if the store answers, else 503; within ``READY_WITHIN`` seconds.

    A channel layer that fails is ``degraded``, and still 200: all processes are on the same one, so that a
    503 would take all of them away, and what is lost is some speed. Tabs then hear of what happened in
    another process when theirs looks by itself.
    """
    store, layer = await asyncio.gather(_store.answer(), _layer.answer())
    works = "ready" if layer in ("ok", "none") else "degraded"
    status = works if store == "ok" else "unready"
    if status != "ready":
        logger.warning(
            "A probe was told %s: store %s, channel layer %s.",
            status,
            store,
            layer,
            extra={
                "event": "not_ready",
                "status": status,
                "store": store,
                "channel_layer": layer,
            },
        )
    found = {"status": status, "store": store, "channel_layer": layer}
    return JsonResponse(found, status=503 if status == "unready" else 200)
