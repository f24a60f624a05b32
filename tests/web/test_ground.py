"""The palette, the theme, undo by page, the styleguide: what every page leans on."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest


def test_the_palette_finds_pages_campaigns_segments_and_people(as_member: Any, shop: Any) -> None:
    owner = as_member("owner")
    whole = owner.get("/search", {"q": "lettre"}).content.decode()
    alone = owner.get("/search", {"q": "lettre", "part": "found"}).content.decode()
    assert f'href="/campaigns/{shop.sent.pk}"' in whole and "<html" in whole
    assert f'href="/campaigns/{shop.sent.pk}"' in alone and "<html" not in alone
    assert f'href="/segments/{shop.segment.pk}"' in owner.get("/search", {"q": "fidèles"}).content.decode()
    person = shop.people[0]
    assert f'href="/contacts/{person.pk}"' in owner.get("/search", {"q": person.email[:12]}).content.decode()
    assert "/settings/team" in owner.get("/search", {"q": ""}).content.decode()


def test_the_palette_tells_a_viewer_no_address_and_no_page_that_is_not_hers(as_member: Any, shop: Any) -> None:
    viewer = as_member("viewer")
    page = viewer.get("/search", {"q": "Martin", "part": "found"}).content.decode()
    assert "/contacts/" in page
    assert not any(address in page for address in shop.addresses)
    assert shop.people[0].email not in viewer.get("/search", {"q": shop.people[0].email}).content.decode().replace(
        f"value=&quot;{shop.people[0].email}", ""
    ).split("</form>")[-1].replace(f"“{shop.people[0].email}”", "")
    assert "/settings/team" not in viewer.get("/search").content.decode()


def test_the_palette_stays_in_its_workspace(as_member: Any, shop: Any, other_shop: Any) -> None:
    bob = as_member("owner", other_shop)
    page = bob.get("/search", {"q": shop.people[0].email, "part": "found"}).content.decode()
    assert f'href="/contacts/{shop.people[0].pk}"' not in page
    assert f'href="/campaigns/{shop.sent.pk}"' not in bob.get("/search", {"q": "lettre"}).content.decode()


def test_the_theme_follows_the_reader_on_this_device(as_member: Any) -> None:
    owner = as_member("owner")
    answer = owner.post("/theme", {"theme": "dark", "next": "/settings/account"})
    assert answer.status_code == 303 and answer["Location"] == "/settings/account"
    assert 'data-theme="dark"' in owner.get("/settings/account").content.decode()
    owner.post("/theme", {"theme": ""})
    assert "data-theme" not in owner.get("/settings/account").content.decode()
    assert owner.post("/theme", {"theme": "dark", "next": "https://elsewhere.example/"})["Location"] == "/"


def test_an_act_is_undone_by_its_page_and_by_the_journal(as_member: Any, shop: Any, other_shop: Any) -> None:
    from envol.accounts import journal, undo
    from envol.accounts.models import Undo

    done = []
    kind = f"ground.{shop.workspace.pk}"
    undo.register(kind, lambda where, facts, who: done.append(facts["n"]))  # type: ignore[func-returns-value]
    entry = journal.note(shop.workspace, "member", "thing.done", actor_id=shop.members["editor"].pk)
    offered = undo.offer(entry, kind, {"n": 7})
    assert f'action="/undo/{offered.pk}"' in as_member("owner").get("/settings/journal").content.decode()
    assert as_member("viewer").post(f"/undo/{offered.pk}").status_code == 403
    assert as_member("owner", other_shop).post(f"/undo/{offered.pk}").status_code == 404
    assert done == []
    editor = as_member("editor")
    assert editor.post(f"/undo/{offered.pk}", {"next": "/contacts"})["Location"] == "/contacts"
    assert done == [7]
    assert "as it was before" in editor.get("/contacts").content.decode()
    editor.post(f"/undo/{offered.pk}", {"next": "/contacts"})
    assert "already" in editor.get("/contacts").content.decode()
    assert done == [7] and Undo.objects.get(pk=offered.pk).used_at is not None


def test_the_styleguide_is_for_developers(as_member: Any, settings_debug: Any) -> None:
    owner = as_member("owner")
    assert owner.get("/styleguide").status_code == 404
    with settings_debug():
        page = owner.get("/styleguide").content.decode()
    assert "<c-" not in page and "<dialog" in page


@pytest.fixture
def settings_debug() -> Any:
    from django.conf import settings
    from django.test import override_settings

    return lambda: override_settings(ENVOL=dataclasses.replace(settings.ENVOL, debug=True))


def test_every_act_of_the_journal_has_words() -> None:
    """Whatever code writes into the journal is called something that a marketer understands."""
    import re
    from pathlib import Path

    from envol.contacts import bulk
    from envol.web.journal_words import WORDS

    code = "\n".join(path.read_text("utf-8") for path in Path("envol").rglob("*.py"))
    written = set(re.findall(r"""(?:note|journal\.note)\((?:[^()]|\([^()]*\)){0,200}?"([a-z_]+\.[a-z_]+)\"""", code))
    assert len(written) > 30
    written |= set(re.findall(r"""action = [^\n]*"([a-z_]+\.[a-z_]+)\"""", code)) | {
        "campaign.sent",
        "campaign.scheduled",
    }
    written |= {f"bulk.{act}" for act in bulk.ACTS} | {f"import.{end}" for end in ("done", "failed", "cancelled")}
    assert written - set(WORDS) == set()
