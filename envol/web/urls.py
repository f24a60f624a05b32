"""Routes of the pages."""

from __future__ import annotations

from django.contrib.staticfiles.views import serve
from django.urls import URLPattern, URLResolver, include, path

from envol.web import inbox, views
from envol.web.doors import anybody

web = (
    [
        path("", views.home, name="home"),
        path("language", views.language, name="language"),
        path("contacts", views.contacts, name="contacts"),
        path("contacts/<int:contact_id>", views.contact, name="contact"),
        path("campaigns", views.campaigns, name="campaigns"),
        path("campaigns/<int:campaign_id>", views.campaign, name="campaign"),
        path("campaigns/<int:campaign_id>/preview", views.preview, name="preview"),
        path("campaigns/<int:campaign_id>/send", views.send, name="send"),
        path("campaigns/<int:campaign_id>/act", views.act, name="act"),
        path("campaigns/<int:campaign_id>/live", views.live, name="live"),
        path("campaigns/<int:campaign_id>/report", views.report, name="report"),
        path("campaigns/<int:campaign_id>/people", views.people, name="people"),
        path("inbox", inbox.inbox, name="inbox"),
        path("inbox/<int:message_id>", inbox.message, name="message"),
        path("inbox/<int:message_id>/html", inbox.html, name="message_html"),
        path("settings", views.settings_page, name="settings"),
    ],
    "web",
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include(web)),
    path("", include("envol.web.public.urls")),
    path("inbox.json", inbox.inbox_json),
    path("", include("allauth.account.urls")),
    path("2fa/", include("allauth.mfa.urls")),
    # Scripts of allauth's passkeys; our own assets are served before Django is asked.
    path("static/<path:path>", anybody(serve), {"insecure": True}),
]
handler404 = "envol.web.views.not_found"
handler500 = "envol.web.views.server_error"
