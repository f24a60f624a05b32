from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "envol.api"
    label = "api"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from envol.api import privacy

        privacy.register()
