from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from .accounts import ACCOUNTS

sign_in = LoginView.as_view(extra_context={"accounts": ACCOUNTS}, redirect_authenticated_user=True)


@require_safe
@login_required
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "demo_site/home.html")


@require_http_methods(["GET", "POST"])
@login_required
def exam(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        words = len(request.POST.get("answer", "").split())
        messages.success(request, f"Your answer of {words} words was handed in.")
        return redirect(reverse("exam") + "?handed-in")
    return render(request, "demo_site/exam.html")


@require_safe
@login_required
def custom(request: HttpRequest) -> HttpResponse:
    return render(request, "demo_site/custom.html")


@require_safe
@login_required
def clock(request: HttpRequest) -> JsonResponse:
    """Something for the page to ask: activity, unless the request says that it is passive."""
    return JsonResponse({"time": timezone.now().isoformat()})


def policy(request: HttpRequest) -> dict[str, Any]:
    """The context processor that lets every page name the timeouts in force."""
    return {"policy": settings.REALTIME_SESSION}
