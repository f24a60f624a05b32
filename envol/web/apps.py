from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "envol.web"
    label = "web"

    def ready(self) -> None:
        from envol.web import language  # noqa: F401 - listens to sign-ins
