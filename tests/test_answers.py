"""What an ended session's request gets, whichever way its view asks for a login."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.admin import AdminSite, site
from django.contrib.auth.decorators import login_not_required, login_required, permission_required
from django.contrib.auth.mixins import UserPassesTestMixin
from django.contrib.auth.models import AbstractUser
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse
from django.shortcuts import redirect
from django.test import Client
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View

from tests.ages import age

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
JQUERY = {"X-Requested-With": "XMLHttpRequest"}
JSON = {"Accept": "application/json"}
NO_HTML = {"Accept": "text/event-stream"}
HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/list/?page=2"}
FROM_FORM = {"Referer": "http://testserver/form/?draft=7"}
OURS = "realtime_session.middleware.SessionMonitorMiddleware"
LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"


def work(request: HttpRequest) -> HttpResponse:
    return HttpResponse("work")


class StaffOnly(UserPassesTestMixin, View):
    login_url = "/staff/login/"
    redirect_field_name = "back"

    def test_func(self) -> bool:
        return self.request.user.is_authenticated

    def get(self, request: HttpRequest) -> HttpResponse:
        return work(request)


@login_not_required
def public(request: HttpRequest) -> HttpResponse:
    return HttpResponse("public")


@login_not_required
def moved(request: HttpRequest) -> HttpResponse:
    return redirect("/public/?page=2")


@login_not_required
def by_token(request: HttpRequest) -> HttpResponse:
    """As Django REST framework does: who the token stands for becomes the request's user."""
    request.user = SimpleNamespace(is_authenticated=True)
    return HttpResponseForbidden("not for robots")


@login_not_required
def by_password(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=401, headers={"WWW-Authenticate": "Basic"})


@login_not_required
def api(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"detail": "Authentication credentials were not provided."}, status=403)


@method_decorator(login_not_required, name="dispatch")
class StrictLoginView(LoginView):
    template_name = "login.html"

    def form_invalid(self, form: Any) -> HttpResponse:
        return HttpResponseForbidden("locked out")


urlpatterns = [
    path("login/", StrictLoginView.as_view()),
    path("shift/", work),
    path("members/", login_required(work)),
    path("clerks/", permission_required("auth.view_user")(work)),
    path("auditors/", permission_required("auth.view_user", raise_exception=True)(work)),
    path("staff/", StaffOnly.as_view()),
    path("public/", public),
    path("moved/", moved),
    path("by-token/", by_token),
    path("by-password/", by_password),
    path("api/", api),
    path("session/", include("realtime_session.urls")),
    path("admin/", site.urls),
    path("office/", AdminSite("office").urls),
]


@pytest.fixture
def ended(anna: AbstractUser) -> Client:
    """The browser of somebody whose session has lapsed."""
    client = Client()
    client.force_login(anna)
    age(client, 900)
    return client


@pytest.mark.parametrize(
    ("page", "login"),
    [
        ("/members/?page=2", "/login/?next=/members/%3Fpage%3D2"),
        ("/clerks/?page=2", "/login/?next=/clerks/%3Fpage%3D2"),
        ("/auditors/?page=2", "/login/?next=/auditors/%3Fpage%3D2"),
        ("/staff/?page=2", "/staff/login/?back=/staff/%3Fpage%3D2"),
        ("/admin/auth/user/?o=1", "/admin/login/?next=/admin/auth/user/%3Fo%3D1"),
        ("/office/?o=1", "/office/login/?next=/office/%3Fo%3D1"),
    ],
)
def test_a_page_leads_to_its_login_and_back(ended: Client, page: str, login: str) -> None:
    assert ended.get(page)["Location"] == login


@pytest.mark.parametrize(
    ("page", "login"),
    [
        ("/members/", "/login/"),
        ("/auditors/", "/login/"),
        ("/staff/", "/staff/login/"),
        ("/admin/auth/user/?o=1", "/admin/login/"),
        ("/office/", "/office/login/"),
    ],
)
@pytest.mark.parametrize("headers", [FETCH, JSON, JQUERY, NO_HTML])
def test_a_script_is_told_the_reason_and_the_login(
    ended: Client, page: str, login: str, headers: dict[str, str]
) -> None:
    response = ended.get(page, headers=headers)
    assert response.status_code == 401
    answer = response.json()
    assert (answer["type"], answer["reason"], answer["redirect"]) == ("expired", "idle", login)
    assert answer["detail"] == answer["message"]
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize(
    ("page", "login"),
    [
        ("/members/", "/login/?next=/list/%3Fpage%3D2"),
        ("/staff/", "/staff/login/?back=/list/%3Fpage%3D2"),
        ("/admin/", "/admin/login/?next=/list/%3Fpage%3D2"),
    ],
)
def test_htmx_leaves_the_page_as_a_whole(ended: Client, page: str, login: str) -> None:
    response = ended.post(page, headers=HTMX | FETCH)
    assert response["HX-Redirect"] == login
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize(
    ("page", "login"),
    [
        ("/members/", "/login/"),
        ("/auditors/", "/login/"),
        ("/admin/auth/user/add/", "/admin/login/"),
    ],
)
def test_after_a_form_people_come_back_to_its_page(ended: Client, page: str, login: str) -> None:
    response = ended.post(page, {"name": "x"}, headers=FROM_FORM)
    assert response.status_code == 302, "which makes a browser forget the form"
    assert response["Location"] == f"{login}?next=/form/%3Fdraft%3D7"


@pytest.mark.parametrize("referer", ["", "https://elsewhere.example/form/", "http://elsewhere/"])
def test_a_form_of_an_unknown_page_leads_to_the_login_alone(ended: Client, referer: str) -> None:
    response = ended.post("/members/", headers={"Referer": referer})
    assert response["Location"] == "/login/"


@pytest.mark.parametrize("order", [(OURS, LOGIN_REQUIRED), (LOGIN_REQUIRED, OURS)])
def test_login_required_middleware_may_stand_before_or_after(
    ended: Client, settings: Any, order: tuple[str, str]
) -> None:
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != OURS] + list(order)
    again = Client()
    again.cookies = ended.cookies.copy()
    assert ended.get("/shift/?a=b")["Location"] == "/login/?next=/shift/%3Fa%3Db"
    assert again.get("/shift/", headers=FETCH).json()["reason"] == "idle"


def test_login_required_middleware_leaves_the_monitors_own_addresses_alone(settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, LOGIN_REQUIRED]
    assert Client().get("/session/state/").json()["type"] == "expired"
    for address in ("extend", "refresh"):
        assert Client().post(f"/session/{address}/").json()["type"] == "expired"


def test_an_api_is_answered_as_an_api_whatever_its_client_accepts(ended: Client) -> None:
    response = ended.get("/api/", headers={"Accept": "*/*"})
    assert response.status_code == 401
    assert response.json()["reason"] == "idle"


def test_an_api_that_never_saw_a_session_is_left_alone(db: None) -> None:
    assert Client().get("/api/").status_code == 403


@pytest.mark.parametrize("headers", [{}, FETCH])
@pytest.mark.parametrize(
    ("page", "status"),
    [("/public/", 200), ("/moved/", 302), ("/by-token/", 403), ("/nowhere/", 404)],
)
def test_what_needs_no_session_stays(
    ended: Client, page: str, status: int, headers: dict[str, str]
) -> None:
    assert ended.get(page, headers=headers).status_code == status


def test_a_password_of_http_is_asked_for_by_the_browser(ended: Client) -> None:
    assert ended.get("/by-password/")["WWW-Authenticate"] == "Basic"


def test_what_the_login_page_answers_stays(ended: Client) -> None:
    response = ended.post("/login/", {"username": "anna", "password": "wrong"})
    assert response.content == b"locked out"


def test_a_login_with_the_cookie_of_an_ended_session_succeeds(ended: Client) -> None:
    response = ended.post("/login/?next=/members/", {"username": "anna", "password": "anna"})
    assert response["Location"] == "/members/"
    assert ended.get("/members/").content == b"work"


@pytest.mark.parametrize("page", ["/login/", "/admin/login/", "/office/login/"])
def test_a_login_page_says_why_to_whoever_arrives(db: None, page: str) -> None:
    assert "maximum duration" in Client().get(f"{page}?session_ended=absolute").content.decode()


@pytest.mark.parametrize("page", ["/public/", "/admin/jsi18n/", "/nowhere/"])
def test_no_other_page_does(db: None, page: str) -> None:
    client = Client()
    client.get(f"{page}?session_ended=absolute")
    assert "maximum duration" not in client.get("/login/").content.decode()


def test_a_login_page_on_another_site_makes_none_here(db: None, settings: Any) -> None:
    settings.LOGIN_URL = "https://sso.example.com/login/"
    page = Client().get("/login/?session_ended=absolute").content.decode()
    assert "maximum duration" not in page


def test_a_login_page_on_another_site_leads_back_here(ended: Client, settings: Any) -> None:
    settings.LOGIN_URL = "https://sso.example.com/login/?client=7"
    answer = ended.get("/members/", headers=FETCH).json()
    assert answer["redirect"] == "https://sso.example.com/login/?client=7"


def test_without_any_login_page_everybody_gets_the_reason(ended: Client, settings: Any) -> None:
    settings.LOGIN_URL = "no-such-name"
    answer = ended.get("/auditors/").json()
    assert (answer["reason"], answer["redirect"]) == ("idle", None)
