"""A workspace ready to send: domain, template, people with and without permission."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from envol import db
from envol.accounts.models import Workspace
from envol.audience import segments
from envol.campaigns import drafts
from envol.campaigns.models import Campaign
from envol.consent import purposes
from envol.consent.models import Purpose
from envol.content import templates
from envol.outbound.models import Domain

HTML = "<html><body><p>Bonjour {{ contact.first_name | default('vous') }}</p></body></html>"


@dataclass
class Shop:
    workspace: Workspace
    newsletter: Purpose
    campaign: Campaign

    def person(self, address: str, *, allowed: bool = True, props: dict[str, Any] | None = None, **flags: bool) -> int:
        return int(
            db.value(
                "INSERT INTO contacts_contact (workspace_id, email, email_key, props, allowed, suppressed, objected)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
                [
                    self.workspace.id,
                    address,
                    address.lower(),
                    json.dumps(props or {}),
                    1 << self.newsletter.bit if allowed else 0,
                    flags.get("suppressed", False),
                    flags.get("objected", False),
                ],
            )
        )

    def people(self, count: int, domain: str = "lecteurs.example") -> list[int]:
        """``count`` people with permission, on twenty small sites and one large one."""
        return [
            row[0]
            for row in db.rows(
                "INSERT INTO contacts_contact (workspace_id, email, email_key, allowed)"
                " SELECT %(w)s, a, a, %(bit)s FROM (SELECT 'p' || n || '@' || CASE WHEN n %% 2 = 0 THEN %(domain)s"
                " ELSE 'site' || n %% 20 || '.example' END AS a FROM generate_series(1, %(count)s) AS n) p"
                " RETURNING id",
                {"w": self.workspace.id, "bit": 1 << self.newsletter.bit, "count": count, "domain": domain},
            )
        ]

    def segment(self, *rules: dict[str, Any]) -> None:
        made = segments.save(self.workspace, "Audience", {"v": 1, "match": "all", "rules": list(rules)})
        self.campaign = drafts.edit(self.campaign, self.campaign.revision, segment=made)


def open_shop(workspace: Workspace, html: str = HTML, subject: str = "La lettre") -> Shop:
    if not Purpose.objects.filter(workspace=workspace).exists():
        purposes.create_defaults(workspace)
    newsletter = Purpose.objects.get(workspace=workspace, key="newsletter")
    Domain.objects.create(workspace=workspace, name="boutique.example", trusted=True)
    version = templates.save(workspace, "Lettre", "html", html, subject)
    campaign = drafts.create(
        workspace,
        "Lettre d'automne",
        purpose=newsletter,
        template=version.template,
        from_name="Zoé",
        from_address="zoe@boutique.example",
    )
    return Shop(workspace, newsletter, campaign)
