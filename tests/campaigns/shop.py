"""A workspace ready to send: domain, template, people with and without permission."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from envol import db
from envol.accounts.models import Workspace
from envol.audience import segments
from envol.campaigns import actions, drafts, expand, tick
from envol.campaigns.models import Campaign
from envol.consent import purposes
from envol.consent.models import Purpose
from envol.content import templates
from envol.outbound.models import Domain, Sending

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


def codes(campaign: Campaign, level: str = "block") -> set[str]:
    return {c.code for c in actions.check(campaign) if c.level == level}


def start(shop: Shop, batch: int = expand.BATCH, **how: Any) -> Sending:
    """Send at once and expand, as the tick and the worker do."""
    sending = actions.send(shop.campaign, take_back=0, **how)
    tick.run()
    expand.run(sending.id, batch=batch)
    sending.refresh_from_db()
    shop.campaign.refresh_from_db()
    return sending


def deliver(sending: Sending) -> None:
    """What couriers leave behind when everybody was reached."""
    db.execute(
        "INSERT INTO outbound_outcome (sending_id, no, state, attempts, reply, code)"
        " SELECT sending_id, no, 'delivered', 1, '250 ok', 250 FROM outbound_send WHERE sending_id = %s"
        " ON CONFLICT DO NOTHING",
        [sending.id],
    )
    db.execute("UPDATE outbound_chunk SET done = true WHERE sending_id = %s", [sending.id])


def settings_with(**changes: Any) -> Any:
    from dataclasses import replace

    from django.conf import settings

    return replace(settings.ENVOL, **changes)
