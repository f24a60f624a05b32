"""Routes of the pages."""

from __future__ import annotations

from django.contrib.staticfiles.views import serve
from django.urls import URLPattern, URLResolver, include, path

from envol.web import inbox
from envol.web.doors import anybody
from envol.web.views import (
    campaigns,
    consent,
    contacts,
    first,
    ground,
    home,
    imports,
    notices,
    people,
    report,
    segments,
    sending,
    settings,
    signup,
)

web = (
    [
        path("", home.home, name="home"),
        path("setup/<slug:token>", first.setup, name="setup"),
        path("language", home.language, name="language"),
        path("theme", ground.theme, name="theme"),
        path("search", ground.search, name="search"),
        path("notices", notices.notices, name="notices"),
        path("undo/<int:undo_id>", ground.undo, name="undo"),
        path("styleguide", ground.styleguide, name="styleguide"),
        path("contacts", contacts.contacts, name="contacts"),
        path("contacts/<int:contact_id>", contacts.contact, name="contact"),
        path("contacts/<int:contact_id>/notes", contacts.add_note, name="add_note"),
        path("segments", segments.segments, name="segments"),
        path("segments/new", segments.new_segment, name="new_segment"),
        path("segments/<int:segment_id>", segments.segment, name="segment"),
        path("segments/<int:segment_id>/edit", segments.edit_segment, name="edit_segment"),
        path("segments/<int:segment_id>/delete", segments.delete_segment, name="delete_segment"),
        path("forms", signup.forms, name="forms"),
        path("forms/new", signup.new_form, name="new_form"),
        path("lists/<int:list_id>/signup", signup.edit_signup, name="signup"),
        path("lists/<int:list_id>/signup/preview", signup.preview_signup, name="preview_signup"),
        path("lists/<int:list_id>/signup/switch", signup.switch_signup, name="switch_signup"),
        path("consent", consent.consent, name="consent"),
        path("consent/ledger", consent.ledger_state, name="ledger_state"),
        path("consent/verify", consent.verify_ledger, name="verify_ledger"),
        path("consent/purposes", consent.new_purpose, name="new_purpose"),
        path("consent/purposes/<int:purpose_id>", consent.purpose, name="purpose"),
        path("consent/suppressed", consent.suppressed, name="suppressed"),
        path("consent/proof/<int:permission_id>", consent.proof, name="proof"),
        path("imports", imports.imports, name="imports"),
        path("imports/<int:import_id>", imports.one_import, name="import"),
        path("imports/<int:import_id>/mapping", imports.mapping, name="import_mapping"),
        path("imports/<int:import_id>/permission", imports.permission, name="import_permission"),
        path("imports/<int:import_id>/act", imports.act, name="import_act"),
        path("imports/<int:import_id>/refused.csv", imports.refused, name="import_refused"),
        path("campaigns", campaigns.campaigns, name="campaigns"),
        path("campaigns/new", campaigns.new_campaign, name="new_campaign"),
        path("campaigns/<int:campaign_id>", campaigns.campaign, name="campaign"),
        path("campaigns/<int:campaign_id>/save", campaigns.save, name="save"),
        path("campaigns/<int:campaign_id>/preview", campaigns.preview, name="preview"),
        path("campaigns/<int:campaign_id>/test", campaigns.test, name="test"),
        path("campaigns/<int:campaign_id>/send", sending.send, name="send"),
        path("campaigns/<int:campaign_id>/act", sending.act, name="act"),
        path("campaigns/<int:campaign_id>/live", sending.live, name="live"),
        path("campaigns/<int:campaign_id>/report", report.report, name="report"),
        path("campaigns/<int:campaign_id>/people", people.people, name="people"),
        path("campaigns/<int:campaign_id>/report.csv", report.report_csv, name="report_csv"),
        path("campaigns/<int:campaign_id>/report/preview", report.click_map, name="click_map"),
        path("campaigns/<int:campaign_id>/people.csv", people.people_csv, name="people_csv"),
        path("campaigns/<int:campaign_id>/people/keep", people.keep_people, name="keep_people"),
        path("inbox", inbox.inbox, name="inbox"),
        path("inbox/<int:message_id>", inbox.message, name="message"),
        path("inbox/empty", inbox.empty, name="empty_inbox"),
        path("inbox/<int:message_id>/html", inbox.html, name="message_html"),
        path("inbox/<int:message_id>/files/<int:no>", inbox.file, name="message_file"),
        path("settings", settings.organisation, name="settings"),
        path("settings/domains", settings.domains, name="domains"),
        path("settings/domains/<int:domain_id>", settings.domain, name="domain"),
        path("settings/domains/<int:domain_id>/check", settings.check_domain, name="check_domain"),
        path("settings/team", settings.team, name="team"),
        path("settings/team/invite", settings.invite, name="invite"),
        path("settings/team/<int:member_id>", settings.change_member, name="change_member"),
        path("settings/keys", settings.keys, name="keys"),
        path("settings/keys/<int:key_id>/revoke", settings.revoke_key, name="revoke_key"),
        path("settings/journal", settings.journal, name="journal"),
        path("settings/account", settings.account, name="account"),
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
handler404 = "envol.web.views.home.not_found"
handler500 = "envol.web.views.home.server_error"
