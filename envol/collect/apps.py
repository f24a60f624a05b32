from django.apps import AppConfig


class CollectConfig(AppConfig):
    name = "envol.collect"
    label = "collect"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from envol.accounts import undo
        from envol.collect import privacy, signup

        privacy.register()
        undo.register(signup.SWITCHED, signup.switch_back)
