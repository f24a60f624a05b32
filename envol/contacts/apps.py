from django.apps import AppConfig


class ContactsConfig(AppConfig):
    name = "envol.contacts"
    label = "contacts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from envol.contacts import (
            catalogue,  # noqa: F401  (registers what a new workspace begins with)
            keeping,
            masks,
            privacy,
            undoing,
        )

        masks.register()
        keeping.register()
        privacy.register()
        undoing.register()
