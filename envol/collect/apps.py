from __future__ import annotations

from collections.abc import Sequence

from django.apps import AppConfig
from django.utils.translation import gettext as _


class CollectConfig(AppConfig):
    name = "envol.collect"
    label = "collect"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from envol.accounts import undo
        from envol.accounts.models import Workspace
        from envol.audience import segments
        from envol.collect import privacy, signup, visibility
        from envol.collect.models import SignupForm
        from envol.contacts import fields, lists

        privacy.register()
        undo.register(signup.SWITCHED, signup.switch_back)

        def of_properties(workspace: Workspace, keys: Sequence[str]) -> dict[str, list[fields.Use]]:
            found: dict[str, list[fields.Use]] = {key: [] for key in keys}
            for form in SignupForm.objects.filter(workspace=workspace).select_related("list").order_by("list__name"):
                for key in {asked["key"] for asked in form.fields} & found.keys():
                    found[key].append(fields.Use("form", form.list.name, form.list.pk))
            return found

        def of_list(workspace: Workspace, list_id: int) -> list[str]:
            open_now = SignupForm.objects.filter(workspace=workspace, list_id=list_id, active=True).exists()
            return [_("its open sign-up form")] if open_now else []

        fields.register_use(of_properties)
        lists.register_use(of_list)
        segments.register_use(lambda workspace_id, ids: visibility.used_by(workspace_id, list(ids)))
