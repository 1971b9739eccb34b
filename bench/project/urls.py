from django.http import HttpRequest, HttpResponse
from django.urls import path


def untouched(request: HttpRequest) -> HttpResponse:
    return HttpResponse("neither session nor user")


urlpatterns = [path("untouched/", untouched)]
