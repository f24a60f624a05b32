"""A rule of an audience may read of a person only what she allowed to be used for messages of this purpose."""

from __future__ import annotations

import pytest

from envol import db
from envol.accounts.models import Workspace
from envol.audience import segments
from envol.campaigns import checks, choosing, drafts, expand
from envol.consent import purposes, restriction
from envol.contacts.models import Property
from envol.outbound.models import Sending
from tests.campaigns.shop import Shop, open_shop


@pytest.fixture
def shop(workspace: Workspace) -> Shop:
    return open_shop(workspace)


def sent_to(shop: Shop, tree: dict[str, object]) -> tuple[set[int], dict[int, str]]:
    """Who gets it and who is left out with which reason, by the sending itself."""
    sending = Sending.objects.create(
        workspace=shop.workspace, kind="campaign", purpose_id=shop.newsletter.pk,
        version_id=1, sender={"name": "", "address": "zoe@boutique.example"}, audience=tree, state="preparing",
    )  # fmt: skip
    expand.run(sending.pk)
    got = {no for (no,) in db.rows("SELECT no FROM outbound_send WHERE sending_id = %s", [sending.pk])}
    left = "SELECT contact_id, reason FROM outbound_excluded WHERE sending_id = %s"
    return got, dict(db.rows(left, [sending.pk]))


def test_who_did_not_allow_this_use_is_left_out_and_it_is_said_before(shop: Shop, monkeypatch) -> None:  # noqa: ANN001
    personal = purposes.get(shop.workspace, "personalisation")
    Property.objects.create(
        workspace=shop.workspace,
        key="team",
        label_fr="Équipe",
        label_en="Team",
        type="text",
        purposes=1 << personal.bit,
    )
    both, only = (1 << shop.newsletter.bit) | (1 << personal.bit), 1 << shop.newsletter.bit
    yes, no, nothing = (shop.person(f"{n}@lecteurs.example", props=p) for n, p in (
        ("yes", {"team": "rouge"}), ("no", {"team": "rouge"}), ("nothing", {}),
    ))  # fmt: skip
    gone = shop.person("gone@lecteurs.example", allowed=False, props={"team": "rouge"})
    db.execute("UPDATE contacts_contact SET allowed = %s WHERE id = %s", [both, yes])
    db.execute("UPDATE contacts_contact SET allowed = %s WHERE id = ANY(%s)", [only, [no, nothing]])
    tree = {"v": 1, "match": "any", "rules": [
        {"field": "prop.team", "op": "is", "value": "rouge"}, {"field": "prop.team", "op": "unknown"},
    ]}  # fmt: skip
    assert sent_to(shop, tree) == ({yes, nothing}, {no: "not_served", gone: "no_permission"})

    made = segments.save(shop.workspace, "Rouges", tree)
    shop.campaign = drafts.edit(shop.campaign, shop.campaign.revision, segment=made)
    look = checks.look(shop.campaign)
    assert look.who is not None and (look.who.allowed, look.who.chosen) == (2, 4)
    assert look.who.excluded == {"no_permission": 1, "not_served": 1}
    told = next(one for one in look.checks if one.code == "not_served")
    assert told.level == checks.ADVICE and "1 person" in told.en and "“Team”" in told.en and "Équipe" in told.fr
    query, params = checks.allowed_ids(shop.campaign)
    assert {row[0] for row in db.rows(query, params)} == {yes, nothing}

    # A property that serves the purpose of the message asks nobody anything.
    Property.objects.filter(workspace=shop.workspace, key="team").update(purposes=only)
    assert choosing.unserved(shop.workspace, tree, shop.newsletter) == []
    assert sent_to(shop, tree)[0] == {yes, no, nothing}
    # And a gate that is forgotten is noticed.
    Property.objects.filter(workspace=shop.workspace, key="team").update(purposes=1 << personal.bit)
    monkeypatch.setattr(choosing, "barred_sql", lambda *a: "false")
    assert no in sent_to(shop, tree)[0]


def test_who_wants_to_hear_less_often_is_left_out_while_that_is_so(shop: Shop) -> None:
    seldom, usual = (shop.person(f"{name}@lecteurs.example") for name in ("seldom", "usual"))
    everybody = {"v": 1, "match": "all", "rules": []}
    place = shop.workspace.pk
    assert restriction.set_frequency(place, seldom, "weekly", "her page") and not restriction.set_frequency(
        place, seldom, "weekly", "her page"
    )
    db.execute("UPDATE contacts_contact SET allowed = %s WHERE id = %s", [1 << shop.newsletter.bit, seldom])
    assert sent_to(shop, everybody) == ({seldom, usual}, {}), "the first of the week"
    assert sent_to(shop, everybody) == ({usual}, {seldom: "too_often"})
    who = checks.summary(shop.campaign)
    assert (who.chosen, who.allowed, who.excluded) == (2, 1, {"too_often": 1})
    db.execute("UPDATE outbound_send SET created_at = created_at - interval '8 days' WHERE no = %s", [seldom])
    assert sent_to(shop, everybody)[0] == {seldom, usual}
    assert restriction.set_frequency(place, seldom, "", "her page") and restriction.frequency(place, seldom) == ""
    db.execute("UPDATE contacts_contact SET allowed = %s WHERE id = %s", [1 << shop.newsletter.bit, seldom])
    assert sent_to(shop, everybody)[0] == {seldom, usual}
