from django.apps import AppConfig


class InsightConfig(AppConfig):
    name = "envol.insight"
    label = "insight"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from envol.consent import registry
        from envol.consent.registry import Data
        from envol.events import hits
        from envol.insight import measuring

        hits.register_resolver(measuring.behind)
        hits.register_open_days(measuring.keep_open_days)
        counted = Data(
            "insight_counted", "figures of reports, which name nobody", False, "while somebody looks at them"
        )
        registry.register("insight", describe=lambda: [counted])
