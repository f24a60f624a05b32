from collections.abc import Iterable, Sequence
from datetime import datetime

from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    name = "envol.campaigns"
    label = "campaigns"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from envol.audience.catalogue import register_sendings
        from envol.audience.segments import register_use
        from envol.campaigns.models import Campaign
        from envol.consent import breaches

        def watch(workspace_id: int, since: datetime) -> Iterable[breaches.Suspicion]:
            from envol.campaigns import watching  # brings choosing and composing along, which most commands do without

            return watching.look(workspace_id, since)

        breaches.register_watch(watch)

        def names(workspace_id: int, segment_ids: Sequence[int]) -> dict[int, list[str]]:
            found: dict[int, list[str]] = {}
            users = Campaign.objects.filter(workspace_id=workspace_id, segment_id__in=segment_ids).order_by("name")
            for segment_id, name in users.values_list("segment_id", "name"):
                found.setdefault(segment_id, []).append(name)
            return found

        def sendings(workspace_id: int) -> list[tuple[int, str]]:
            from envol.outbound.models import Sending

            ids = Sending.objects.filter(workspace_id=workspace_id, campaign_id__isnull=False, kind="campaign")
            found = list(ids.order_by("-id").values_list("id", "campaign_id")[:500])
            called = Campaign.objects.in_bulk({campaign for _, campaign in found})
            return [(id, called[campaign].name) for id, campaign in found if campaign in called]

        register_use(names)
        register_sendings(sendings)
