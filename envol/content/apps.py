from __future__ import annotations

from collections.abc import Sequence

from django.apps import AppConfig


class ContentConfig(AppConfig):
    name = "envol.content"
    label = "content"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from envol.accounts.models import Workspace
        from envol.contacts import fields
        from envol.content.models import Version

        def of_properties(workspace: Workspace, keys: Sequence[str]) -> dict[str, list[fields.Use]]:
            """Templates whose newest version asks for a property; earlier ones never change and need none."""
            newest = (
                Version.objects.filter(workspace=workspace)
                .order_by("template_id", "-no")
                .distinct("template_id")
                .values_list("template_id", "template__name", "variables")
            )
            found: dict[str, list[fields.Use]] = {key: [] for key in keys}
            for template_id, name, variables in newest:
                asked = {path.split(".")[1] for path in variables if path.startswith("contact.")}
                for key in asked & found.keys():
                    found[key].append(fields.Use("template", name, template_id))
            return found

        fields.register_use(of_properties)
