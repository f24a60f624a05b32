from __future__ import annotations

from collections.abc import Sequence

from django.apps import AppConfig


def _links(sendings: Sequence[int]) -> list[tuple[int, int, str]]:
    """(sending, number of a link, its address) of campaigns; what a template fills in for each person is no address."""
    from envol.content.models import Version
    from envol.outbound.models import Sending

    sent = Sending.objects.filter(id__in=sendings, version_id__isnull=False).exclude(kind__in=["test", "system"])
    of = dict(sent.values_list("id", "version_id"))
    links = dict(Version.objects.filter(id__in=set(of.values())).values_list("id", "links"))
    return [
        (sending, int(link["no"]), str(link["url"]))
        for sending, version in of.items()
        for link in links.get(version or 0, ())
        if "{" not in str(link["url"])
    ]


def _mailing_lists(workspace_id: int, segments: Sequence[int]) -> dict[int, list[str]]:
    """The mailing lists that write to the people of these segments."""
    from envol.outbound.models import MailingList

    found: dict[int, list[str]] = {}
    users = MailingList.objects.filter(workspace_id=workspace_id, segment_id__in=segments, closed_at=None)
    for segment_id, title in users.order_by("title").values_list("segment_id", "title"):
        found.setdefault(segment_id or 0, []).append(title)
    return found


class OutboundConfig(AppConfig):
    name = "envol.outbound"
    label = "outbound"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from envol import db
        from envol.audience.catalogue import register_activity, register_finished
        from envol.audience.segments import register_use
        from envol.audience.topics import register_links
        from envol.contacts.imports.undo import keep_when
        from envol.outbound import emptying, keeping, privacy

        for kind in ("sent", "delivered"):
            register_activity(kind, db.sql("outbound", f"activity_{kind}"))
        register_links(_links)
        register_finished(db.sql("outbound", "finished"))
        register_use(_mailing_lists)
        privacy.register()
        keeping.register()
        emptying.register()
        # Undoing an import must not remove people who were written to, nor those who reacted.
        keep_when(
            "EXISTS (SELECT FROM outbound_sending x JOIN outbound_send s ON s.sending_id = x.id AND s.no = c.id"
            " WHERE x.workspace_id = c.workspace_id AND s.contact_id = c.id)"
        )
        keep_when("EXISTS (SELECT FROM events_event e WHERE e.contact_id = c.id)")
