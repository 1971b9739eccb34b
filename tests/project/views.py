import asyncio
import threading
import time
from dataclasses import fields
from datetime import timedelta

from django.contrib import messages
from django.contrib.auth import get_user_model, login, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_control

from realtime_session import hub, monitor
from realtime_session.decorators import passive
from realtime_session.engine import session_class
from realtime_session.policy import PRESETS, Policy

BACKEND = "django.contrib.auth.backends.ModelBackend"


def page(request: HttpRequest) -> HttpResponse:
    return render(request, "page.html")


def untouched(request: HttpRequest) -> HttpResponse:
    return HttpResponse("untouched")


@cache_control(max_age=60)
def cached(request: HttpRequest) -> HttpResponse:
    return HttpResponse("cached")


def whoami(request: HttpRequest) -> HttpResponse:
    ended = request.session_ended
    return JsonResponse(
        {"user": request.user.get_username(), "ended": ended and ended.reason},
    )


async def awhoami(request: HttpRequest) -> HttpResponse:
    user = await request.auser()
    ended = request.session_ended
    return JsonResponse({"user": user.get_username(), "ended": ended and ended.reason})


def write(request: HttpRequest) -> HttpResponse:
    request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse(str(request.session["count"]))


@login_required
def members(request: HttpRequest) -> HttpResponse:
    return HttpResponse("members only")


@passive
def passively(request: HttpRequest) -> HttpResponse:
    return HttpResponse("passive")


@passive
async def apassively(request: HttpRequest) -> HttpResponse:
    return HttpResponse("passive")


@method_decorator(passive, name="dispatch")
class PassiveView(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("passive")


def login_again(request: HttpRequest) -> HttpResponse:
    login(request, request.user, BACKEND)
    return HttpResponse("again")


def login_as_other(request: HttpRequest) -> HttpResponse:
    login(request, get_user_model().objects.get(username="other"), BACKEND)
    return HttpResponse("switched")


def cycle(request: HttpRequest) -> HttpResponse:
    request.session.cycle_key()
    return HttpResponse("cycled")


def end(request: HttpRequest) -> HttpResponse:
    monitor.end_session(request)
    return HttpResponse("ended")


async def api_of_python(request: HttpRequest) -> HttpResponse:
    """Every call of the API that has an async twin, by it."""
    user = await request.auser()
    status = await monitor.aextend_session(request)
    return JsonResponse(
        {
            "sessions": len(await monitor.asessions_for(user)),
            "extended": status and round(status.expires_in),
            "applied": await monitor.aapply_policy(request, Policy(idle_timeout=1800)),
            "others_ended": await monitor.aend_user_sessions(user, keep=request),
            "ended": await monitor.aend_session(request),
            "ended_again": await monitor.aend_session(request),
            "extended_too_late": await monitor.aextend_session(request),
        }
    )


def end_elsewhere(request: HttpRequest) -> HttpResponse:
    """Leaves its own session alone, which ends meanwhile."""
    monitor.end_session(request.GET["sid"])
    return HttpResponse("done")


def end_and_fail(request: HttpRequest) -> HttpResponse:
    monitor.end_session(request)
    raise RuntimeError("the view fails")


def end_and_write(request: HttpRequest) -> HttpResponse:
    """As a request that is still running when somebody else ends its session."""
    monitor.end_session(request, "idle")
    return write(request)


@passive
def exists(request: HttpRequest) -> HttpResponse:
    """Whether the session engine still holds the session with the key that the query gives."""
    return JsonResponse({"exists": session_class()().exists(request.GET["key"])})


def set_expiry(request: HttpRequest) -> HttpResponse:
    """Sets the session's expiry: to ``seconds``, as what ``as`` says, or back to what is usual."""
    as_what, seconds = request.GET.get("as"), float(request.GET.get("seconds", 0))
    if as_what == "datetime":
        request.session.set_expiry(timezone.now() + timedelta(seconds=seconds))
    elif as_what == "timedelta":
        request.session.set_expiry(timedelta(seconds=seconds))
    else:
        request.session.set_expiry(int(seconds) if "seconds" in request.GET else None)
    return HttpResponse("set")


def login_with_expiry(request: HttpRequest) -> HttpResponse:
    login(request, get_user_model().objects.get(username="anna"), BACKEND)
    return set_expiry(request)


def policy_of(request: HttpRequest) -> Policy:
    """A project's own: anna works with what is dear."""
    if request.user.get_username() == "anna":
        return Policy(idle_timeout=3, warn_before=1)
    return PRESETS["nist_aal3"]


def policy_asked_for(request: HttpRequest) -> Policy:
    """What the query of the login says: for each session another one."""
    names = {field.name for field in fields(Policy)}
    return Policy(**{name: float(each) for name, each in request.GET.items() if name in names})


@passive
def sid(request: HttpRequest) -> HttpResponse:
    return HttpResponse(monitor.sid_of(request))


@passive
def delete_session(request: HttpRequest) -> HttpResponse:
    """Does to a session what another package could, which knows nothing of ours."""
    session_class()().delete(request.GET["key"])
    return HttpResponse("deleted")


@passive
def apply_policy(request: HttpRequest) -> HttpResponse:
    """Gives the session another policy while it runs."""
    idle_timeout, warn_before = float(request.GET["idle"]), float(request.GET["warn"])
    policy = Policy(idle_timeout=idle_timeout, warn_before=warn_before)
    return HttpResponse(str(monitor.apply_policy(request, policy)))


def slow_write(request: HttpRequest) -> HttpResponse:
    """Takes its time between reading the session and writing it."""
    response = write(request)
    time.sleep(float(request.GET["seconds"]))
    return response


def change_password(request: HttpRequest) -> HttpResponse:
    """One's own, as Django's own view does it."""
    request.user.set_password("new")
    request.user.save()
    update_session_auth_hash(request, request.user)
    return HttpResponse("changed")


def end_and_message(request: HttpRequest) -> HttpResponse:
    monitor.end_session(request, "idle")
    messages.info(request, "Done.")
    return HttpResponse("done")


def fail(request: HttpRequest) -> HttpResponse:
    return HttpResponse("failed", status=500)


@passive
async def inside(request: HttpRequest) -> HttpResponse:
    """What the server process holds: all of it is to be gone with the last tab."""
    names = [task.get_name() for task in asyncio.all_tasks()]
    names += [thread.name for thread in threading.enumerate()]
    return JsonResponse(
        {
            "hubs": len(hub._hubs),
            "tabs": sum(each.tabs for each in hub._hubs.values()),
            "own": sorted(name for name in names if name.startswith("realtime-session")),
        }
    )
