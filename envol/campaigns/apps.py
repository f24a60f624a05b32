from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    name = "envol.campaigns"
    label = "campaigns"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from envol.audience.segments import register_use
        from envol.campaigns.models import Campaign

        def names(workspace_id: int, segment_id: int) -> list[str]:
            found = Campaign.objects.filter(workspace_id=workspace_id, segment_id=segment_id)
            return list(found.order_by("name").values_list("name", flat=True))

        register_use(names)
