from django.apps import AppConfig


class OutboundConfig(AppConfig):
    name = "envol.outbound"
    label = "outbound"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from envol import db
        from envol.audience.catalogue import register_activity
        from envol.contacts.imports.undo import keep_when
        from envol.outbound import privacy

        for kind in ("sent", "delivered"):
            register_activity(kind, db.sql("outbound", f"activity_{kind}"))
        privacy.register()
        # Undoing an import must not remove people who were written to, nor those who reacted.
        keep_when(
            "EXISTS (SELECT FROM outbound_sending x JOIN outbound_send s ON s.sending_id = x.id AND s.no = c.id"
            " WHERE x.workspace_id = c.workspace_id AND s.contact_id = c.id)"
        )
        keep_when("EXISTS (SELECT FROM events_event e WHERE e.contact_id = c.id)")
