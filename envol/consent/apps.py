from django.apps import AppConfig


class ConsentConfig(AppConfig):
    name = "envol.consent"
    label = "consent"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from envol.consent import (
            keeping,
            partners,
            privacy,
            purposes,  # noqa: F401  (registers what a new workspace begins with)
            silence,
        )

        privacy.register()
        silence.register()
        keeping.register()
        partners.register()
