from debug_toolbar.toolbar import debug_toolbar_urls
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


def page(request: HttpRequest) -> HttpResponse:
    return render(request, "coexistence_page.html")


class Who(APIView):
    def get(self, request: Request) -> Response:
        return Response({"user": request.user.get_username()})

    post = get


urlpatterns = [
    path("", page, name="page"),
    path("api/who/", Who.as_view()),
    path("accounts/", include("allauth.urls")),
    path("session/", include("realtime_session.urls")),
    path("admin/", admin.site.urls),
    *debug_toolbar_urls(),
]
