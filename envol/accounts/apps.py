from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "envol.accounts"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from envol import db_role as db_role  # hears of new connections from here on

        post_migrate.connect(_hold_rows, sender=self, dispatch_uid="envol row-level security")


def _hold_rows(**_: Any) -> None:
    """After the last migration, whichever room's it was: new tables are held like the others."""
    from envol import db_rls

    db_rls.apply()
