from django.apps import AppConfig


class OutboundConfig(AppConfig):
    name = "envol.outbound"
    label = "outbound"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from envol import db
        from envol.audience.catalogue import register_activity
        from envol.outbound import privacy

        for kind in ("sent", "delivered"):
            register_activity(kind, db.sql("outbound", f"activity_{kind}"))
        privacy.register()
