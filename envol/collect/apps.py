from django.apps import AppConfig


class CollectConfig(AppConfig):
    name = "envol.collect"
    label = "collect"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from envol.collect import privacy

        privacy.register()
