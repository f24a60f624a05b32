from django.apps import AppConfig


class EventsConfig(AppConfig):
    name = "envol.events"
    label = "events"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from envol.accounts import undo
        from envol.events import custom

        undo.register(custom.REMOVED, custom.bring_back)
