from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.utils.translation import gettext as _


class AudienceConfig(AppConfig):
    name = "envol.audience"
    label = "audience"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from envol.accounts import undo
        from envol.accounts.models import Workspace
        from envol.audience import hands, interests, privacy, segments, shops, topics
        from envol.audience.models import Segment
        from envol.consent import erasures
        from envol.consent.models import Purpose
        from envol.contacts import fields, filters, lists, timeline
        from envol.contacts.imports.undo import keep_when

        def resolve(workspace: Workspace, segment_id: int) -> tuple[str, dict[str, Any]]:
            from envol.audience import engine  # sqlglot: 30 MB that a courier never needs
            from envol.audience.language import SegmentProblem

            segment = Segment.objects.filter(workspace=workspace, pk=segment_id).first()
            if segment is None:
                raise filters.FilterProblem(_("This segment does not exist in the workspace."))
            try:
                return engine.ids_sql(workspace, segment.whole)
            except SegmentProblem as error:
                raise filters.FilterProblem(str(error)) from None

        def barred(workspace: Workspace, segment_id: int, purpose: Purpose) -> str:
            from envol.audience import serving
            from envol.audience.language import SegmentProblem

            segment = Segment.objects.get(workspace=workspace, pk=segment_id)
            try:
                return serving.barred_sql("c", serving.unserved(workspace, segment.whole, purpose))
            except SegmentProblem as error:
                raise filters.FilterProblem(str(error)) from None

        def of_properties(workspace: Workspace, keys: Sequence[str]) -> dict[str, list[fields.Use]]:
            return {
                key: [fields.Use("segment", s.name, s.pk) for s in segments.using_field(workspace, f"prop.{key}")]
                for key in keys
            }

        def moves(workspace_id: int, contact_id: int, most: int) -> list[timeline.Entry]:
            from envol.audience import following

            return following.on_timeline(workspace_id, contact_id, most)

        timeline.register(moves)
        privacy.register()
        erasures.copies("columns", privacy.columns_may_hold)
        erasures.copies("clickhouse", privacy.clickhouse_may_hold)
        # Undoing an import must not remove people who told us something themselves.
        keep_when("EXISTS (SELECT FROM audience_interest i WHERE i.contact_id = c.id AND i.source = 'page')")
        keep_when("EXISTS (SELECT FROM audience_reason r WHERE r.contact_id = c.id)")
        filters.register_segment(resolve)
        filters.register_barring(barred)
        fields.register_use(of_properties)
        lists.register_use(lambda workspace, list_id: [s.name for s in segments.using_list(workspace, list_id)])
        undo.register(interests.WRITTEN, interests.unwrite)
        undo.register(topics.REMOVED, topics.bring_back)
        hands.register()
        shops.register()
        undo.register(segments.DELETED, segments.bring_back)
        undo.register(segments.CREATED, segments.take_away)
        undo.register(segments.CHANGED, segments.put_back)
