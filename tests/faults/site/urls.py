from django.http import HttpRequest, JsonResponse
from django.urls import include, path

from realtime_session.decorators import passive
from tests.faults.site import queries


@passive
def asked(request: HttpRequest) -> JsonResponse:
    """How many queries this process has made, by the table that they read."""
    return JsonResponse(queries.counts)


urlpatterns = [path("queries/", asked), path("", include("tests.project.urls"))]
