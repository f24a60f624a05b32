"""People as a file, by form: who is meant, columns, kind, job, file, journal."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from envol.accounts.models import JournalEntry
from envol.contacts.models import Export
from envol.contacts.tasks import make_export
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]


@pytest.fixture(scope="module")
def own() -> Shop:
    return open_shop(readers=30)


def test_a_segment_becomes_a_file_in_two_steps(own: Shop, as_member: Sign) -> None:
    client = as_member("editor", own)
    assert f"/exports/new?segment={own.segment.pk}" in client.get(f"/segments/{own.segment.pk}").content.decode()
    page = client.get(f"/exports/new?segment={own.segment.pk}").content.decode()
    assert "Export 30 people" in page and "In the segment “Fidèles”" in page and "nobody was asked yet" in page
    sent = {"all": "1", "segment": own.segment.pk, "kind": "csv", "column": ["email", "property:first_name"]}
    where = client.post("/exports/new", sent)["Location"]
    export = Export.objects.filter(workspace=own.workspace).latest("id")
    assert where == f"/exports/{export.pk}" and export.name == "Fidèles"
    assert "Making the file" in client.get(where).content.decode()
    assert client.get(f"{where}/file").status_code == 303, "not there yet"
    assert export.job_id is not None
    make_export(export.pk, export.job_id)
    assert client.get(where, headers={"HX-Request": "true"})["HX-Refresh"] == "true"
    page = client.get(where).content.decode()
    assert "The file is ready" in page and "Download the file" in page
    answer = client.get(f"{where}/file")
    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
    assert len(lines) == 31 and "fideles-" in answer["Content-Disposition"]
    done = set(JournalEntry.objects.filter(workspace=own.workspace).values_list("action", flat=True))
    assert {"export.asked", "export.taken"} <= done
    assert "Fidèles" in client.get("/exports").content.decode()
    client.post(f"{where}/act", {"act": "remove"})
    page = client.get(where).content.decode()
    assert "The file is gone" in page and f"/exports/new?segment={own.segment.pk}&amp;all=1" in page
    assert client.get(f"{where}/file").status_code == 303


def test_what_was_chosen_is_kept_when_something_is_wrong(own: Shop, as_member: Sign) -> None:
    client = as_member("editor", own)
    ids = [one.pk for one in own.people[:2]]
    answer = client.post("/exports/new", {"id": ids, "kind": "parquet"})
    page = answer.content.decode()
    assert answer.status_code == 422 and "at least one column" in page and 'value="parquet" checked' in page
    assert all(f'name="id" value="{one}"' in page for one in ids) and "Export 2 people" in page
    answer = client.post("/exports/new", {"id": ids, "kind": "hashed"})
    assert answer.status_code == 422 and "Nobody was asked" in answer.content.decode()
    assert client.get("/exports/new")["Location"] == "/contacts"


def test_permissions_and_sensitive_fields_are_never_ticked_beforehand(own: Shop, as_member: Sign) -> None:
    from envol.contacts import catalogue

    catalogue.declare(own.workspace, "health", "text", "Santé", "Health", sensitive=True)
    page = as_member("owner", own).get("/exports/new?all=1").content.decode()
    assert 'value="property:health">' in page and 'value="property:first_name" checked' in page
    assert 'value="permission:newsletter">' in page


def test_the_purpose_of_advertising_is_offered_and_no_campaign_may_take_it(own: Shop, as_member: Sign) -> None:
    from envol.campaigns import checks
    from envol.consent import purposes

    client = as_member("owner", own)
    client.post("/consent/purposes", {"proposed": "ad_matching"})
    page = client.get("/exports/new?all=1").content.decode()
    assert "0 people agreed to it; 30 are left out" in page
    ads = purposes.get(own.workspace, "ad_matching")
    assert f'<option value="{ads.pk}"' not in client.get(f"/campaigns/{own.draft.pk}").content.decode()
    own.draft.purpose = ads
    assert any(c.code == "no_purpose" for c in checks.check(own.draft))
