"""Routes of the public pages; the paths are those of :mod:`envol.content.links`, and /s/ for sign-up."""

from __future__ import annotations

from django.urls import path

from envol.web.public import archive, moderation, rights, signup, survey, views

app_name = "public"
urlpatterns = [
    path("u/<str:token>", views.unsubscribe, name="unsubscribe"),
    path("p/<str:token>", views.preferences, name="preferences"),
    path("i/<str:token>", survey.survey, name="survey"),
    path("m/<str:token>/<str:file>", views.picture, name="picture"),
    path("d/<str:token>", moderation.moderation, name="moderation"),
    path("l/at/<str:address>", archive.archive_of, name="archive"),
    path("l/at/<str:address>/<int:post_id>", archive.post_of, name="archive_post"),
    path("l/<str:token>/<int:list_id>", archive.members_archive, name="members_archive"),
    path("l/<str:token>/<int:list_id>/<int:post_id>", archive.members_post, name="members_post"),
    path("r/at/<str:name>", rights.rights_form, name="rights_form"),
    path("r/<str:secret>", rights.rights, name="rights"),
    path("w/<str:token>", views.web_version, name="web_version"),
    path("s/<str:token>", signup.signup_page, name="signup"),
    path("s/<str:token>/sent", signup.signup_sent, name="signup_sent"),
    path("s/<str:token>/notice", signup.signup_notice, name="signup_notice"),
    path("s/<str:token>/<str:secret>", signup.signup_confirm, name="signup_confirm"),
]
