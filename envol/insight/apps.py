from django.apps import AppConfig


class InsightConfig(AppConfig):
    name = "envol.insight"
    label = "insight"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from envol.events import hits
        from envol.insight import measuring

        hits.register_resolver(measuring.behind)
        hits.register_open_days(measuring.keep_open_days)
