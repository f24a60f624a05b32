"""Routes of the public pages; the paths are those of :mod:`envol.content.links`."""

from __future__ import annotations

from django.urls import path

from envol.web.public import views

app_name = "public"
urlpatterns = [
    path("u/<str:token>", views.unsubscribe, name="unsubscribe"),
    path("p/<str:token>", views.preferences, name="preferences"),
    path("m/<str:token>/<str:file>", views.picture, name="picture"),
    path("w/<str:token>", views.web_version, name="web_version"),
]
