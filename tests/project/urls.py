from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from realtime_session.views import metrics

from . import views

polls = ([path("poll/", views.whoami, name="poll")], "polls")

urlpatterns = [
    path("", views.page, name="page"),
    path("untouched/", views.untouched),
    path("cached/", views.cached),
    path("whoami/", views.whoami, name="whoami"),
    path("awhoami/", views.awhoami),
    path("write/", views.write),
    path("members/", views.members),
    path("api/", views.whoami),
    path("passive/", views.passively),
    path("apassive/", views.apassively),
    path("passive-class/", views.PassiveView.as_view()),
    path("again/", views.login_again),
    path("switch/", views.login_as_other),
    path("fail/", views.fail),
    path("end-and-message/", views.end_and_message),
    path("change-password/", views.change_password),
    path("sid/", views.sid),
    path("exists/", views.exists),
    path("delete-session/", views.delete_session),
    path("set-expiry/", views.set_expiry),
    path("login-with-expiry/", views.login_with_expiry),
    path("apply-policy/", views.apply_policy),
    path("slow-write/", views.slow_write),
    path("cycle/", views.cycle),
    path("end/", views.end),
    path("api-of-python/", views.api_of_python),
    path("end-elsewhere/", views.end_elsewhere),
    path("end-and-fail/", views.end_and_fail),
    path("end-and-write/", views.end_and_write),
    path("inside/", views.inside),
    path("polls/", include(polls)),
    path("login/", LoginView.as_view(template_name="login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("session/", include("realtime_session.urls")),
    path("health/", include("realtime_session.health_urls")),
    path("metrics/", metrics),
    path("admin/", admin.site.urls),
]
