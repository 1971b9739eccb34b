from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path

from . import views

urlpatterns = [
    path("", views.home, name="home"),
    path("exam/", views.exam, name="exam"),
    path("custom/", views.custom, name="custom"),
    path("clock/", views.clock, name="clock"),
    path("login/", views.sign_in, name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("session/", include("realtime_session.urls")),
    path("admin/", admin.site.urls),
]
