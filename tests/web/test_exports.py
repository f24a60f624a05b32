"""People as a file, by form: who is meant, columns, kind, job, file, journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from django.conf import settings
from django.test import Client, override_settings

from envol import db
from envol.accounts.models import JournalEntry, Role
from envol.audience import segments
from envol.consent import purposes
from envol.contacts import catalogue, export_files, people
from envol.contacts.filters import Filter
from envol.contacts.models import Export
from envol.contacts.tasks import make_export
from envol.events.models import MailRequest
from tests.web.shop import Shop, member, open_shop

Sign = Callable[..., Client]
WHOLE = {"purpose": "-whole", "reason": "A move to another system"}


@pytest.fixture(scope="module")
def own() -> Shop:
    return open_shop(readers=30)


def test_a_segment_becomes_a_file_in_two_steps(own: Shop, as_member: Sign) -> None:
    client = as_member("editor", own)
    assert f"/exports/new?segment={own.segment.pk}" in client.get(f"/segments/{own.segment.pk}").content.decode()
    page = client.get(f"/exports/new?segment={own.segment.pk}").content.decode()
    assert "Export 30 people" in page and "In the segment “Fidèles”" in page and "nobody was asked yet" in page
    sent = {"all": "1", "segment": own.segment.pk, "kind": "csv", "column": ["email", "property:first_name"], **WHOLE}
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
    answer = client.post("/exports/new", {"id": ids, "kind": "parquet", **WHOLE})
    page = answer.content.decode()
    assert answer.status_code == 422 and "at least one column" in page and 'value="parquet" checked' in page
    assert all(f'name="id" value="{one}"' in page for one in ids) and "Export 2 people" in page
    answer = client.post("/exports/new", {"id": ids, "kind": "hashed"})
    assert answer.status_code == 422 and "Nobody was asked" in answer.content.decode()
    assert client.get("/exports/new")["Location"] == "/contacts"


def test_permissions_and_sensitive_fields_are_never_ticked_beforehand(own: Shop, as_member: Sign) -> None:
    catalogue.declare(own.workspace, "health", "text", "Santé", "Health", sensitive=True)
    page = as_member("owner", own).get("/exports/new?all=1").content.decode()
    assert 'value="property:health">' in page and 'value="property:first_name" checked' in page
    assert 'value="permission:newsletter">' in page


def test_the_purpose_of_advertising_is_offered_and_no_campaign_may_take_it(own: Shop, as_member: Sign) -> None:
    from envol.campaigns import checks

    client = as_member("owner", own)
    client.post("/consent/purposes", {"proposed": "ad_matching"})
    page = client.get("/exports/new?all=1").content.decode()
    assert "0 people agreed to it; 30 are left out" in page
    ads = purposes.get(own.workspace, "ad_matching")
    assert f'<option value="{ads.pk}"' not in client.get(f"/campaigns/{own.draft.pk}").content.decode()
    own.draft.purpose = ads
    assert any(c.code == "no_purpose" for c in checks.check(own.draft))


@override_settings(ENVOL=replace(settings.ENVOL, export_approval=20))
def test_many_people_leave_only_with_the_yes_of_another_owner(own: Shop, as_member: Sign) -> None:
    def asked(client: Client, **more: object) -> str:
        answer = client.post("/exports/new", {"all": "1", "kind": "csv", "column": ["email"], **WHOLE, **more})
        assert answer.status_code == 303
        return str(answer["Location"])

    def state(where: str) -> str:
        return Export.objects.get(pk=int(where.rpartition("/")[2])).state

    editor, owner = as_member("editor", own), as_member("owner", own)
    assert "another owner agrees" in editor.get("/exports/new?all=1").content.decode()
    assert editor.get("/contacts/export.csv?all=1&purpose=newsletter")["Location"].startswith("/exports/new"), (
        "nor by the short way"
    )
    few = asked(editor, all="", id=[one.pk for one in own.people[:2]])
    assert state(few) == "waiting"
    MailRequest.objects.filter(workspace_id=own.workspace.pk).delete()
    where = asked(editor)
    assert state(where) == "asked" and "30 people wait for a second yes" in editor.get(where).content.decode()
    mail = MailRequest.objects.get(workspace_id=own.workspace.pk)
    link = f"{settings.ENVOL.base_url}{where}"
    assert mail.recipient == own.members["owner"].user.email and link in mail.facts["text"]
    assert "Agree and make the file" not in editor.get(where).content.decode()
    editor.post(f"{where}/act", {"act": "agree"})
    assert state(where) == "asked", "an editor agrees to nothing"
    assert "Agree and make the file" in owner.get(where).content.decode()
    owner.post(f"{where}/act", {"act": "agree"})
    export = Export.objects.get(pk=int(where.rpartition("/")[2]))
    assert export.state == "waiting" and export.approved_by == own.members["owner"].pk and export.job_id
    make_export(export.pk, export.job_id)
    assert editor.get(f"{where}/file").status_code == 200
    owner.post(f"{where}/act", {"act": "refuse"})
    assert state(where) == "done", "decided once"
    no = asked(editor)
    owner.post(f"{no}/act", {"act": "refuse"})
    assert state(no) == "refused" and "Another owner refused" in editor.get(no).content.decode()
    # Who asks is not who agrees; an owner alone has nobody to ask.
    assert state(asked(owner)) == "waiting"
    member(own.workspace, Role.OWNER, "rose")
    mine = asked(owner)
    owner.post(f"{mine}/act", {"act": "agree"})
    assert state(mine) == "asked"
    # A selection that grew behind a yes is not let through.
    grown = export_files.prepare(
        own.workspace, Filter(), "csv", ["email"], reason="A move", member_id=own.members["editor"].pk
    )
    with pytest.raises(export_files.ExportProblem, match="More people are meant now"):
        export_files.write(grown)
    done = set(JournalEntry.objects.filter(workspace=own.workspace).values_list("action", flat=True))
    assert {"export.approved", "export.refused"} <= done


def test_a_file_says_what_it_is_for_and_holds_what_may_serve_that(own: Shop, as_member: Sign) -> None:
    client = as_member("editor", own)
    personal = purposes.get(own.workspace, "personalisation")
    catalogue.declare(own.workspace, "team", "text", "Équipe", "Team", purposes=1 << personal.bit)
    one, two, refused = own.people[0], own.people[1], own.people[-1]  # the last ones gave no permission
    for person in (one, two, refused):
        people.upsert(
            own.workspace, person.email, {"team": "rouge"}, source=people.source(own.workspace, "member", "Essai")
        )
    db.execute("UPDATE contacts_contact SET allowed = allowed | %s WHERE id = %s", [1 << personal.bit, one.pk])
    ids = {"id": [one.pk, two.pk, refused.pk], "kind": "csv", "column": ["email", "property:team"]}
    answer = client.post("/exports/new", ids)
    assert answer.status_code == 422 and "Say what the file is for" in answer.content.decode()
    assert client.post("/exports/new", {**ids, "purpose": "-whole", "reason": " "}).status_code == 422

    def lines(**more: str) -> list[str]:
        where = client.post("/exports/new", {**ids, **more})["Location"]
        export = Export.objects.get(pk=int(where.rpartition("/")[2]))
        assert export.job_id is not None
        make_export(export.pk, export.job_id)
        said = client.get(where).content.decode()
        assert ("for “Newsletter”" in said) == ("reason" not in more) and ("because: A move" in said) == (
            "reason" in more
        )
        return b"".join(client.get(f"{where}/file").streaming_content).decode("utf-8-sig").splitlines()[1:]

    whole = lines(**WHOLE)
    assert len(whole) == 3 and all(line.endswith(",rouge") for line in whole)
    assert lines(purpose="newsletter") == [f"{one.email},rouge", f"{two.email},"]
    # The short way holds the same, and asks first what for.
    asked = {"id": ids["id"], "kind": "csv", "purpose": "newsletter", "act": "at_once"}
    short = client.post("/exports/new", asked)["Location"]
    text = b"".join(client.get(short).streaming_content).decode()
    assert text.count("rouge") == 1 and refused.email not in text and two.email in text
    assert client.get(f"/contacts/export.csv?id={one.pk}")["Location"] == f"/exports/new?id={one.pk}"
    # Who was chosen by the value itself is left out where she did not allow that.
    rule = {"field": "prop.team", "op": "is", "value": "rouge"}
    made = segments.save(own.workspace, "Rouges", {"v": 1, "match": "all", "rules": [rule]})
    page = client.get(f"/segments/{made.pk}?exact=1").content.decode()
    assert "does not serve “Newsletter”" in page and "1 chosen by something they did not allow" in page
    ids = {"segment": made.pk, "all": "1", "kind": "csv", "column": ["email"]}
    assert lines(purpose="newsletter") == [one.email]


def test_a_file_for_a_partner_keeps_its_reason_and_its_page_tells_it(own: Shop, as_member: Sign) -> None:
    from envol.consent import acts, partners
    from envol.contacts.models import Contact

    given = next(one for one in purposes.proposed(own.workspace) if one[0] == purposes.PARTNERS)
    offers = purposes.add(own.workspace, given[0], given[1], given[2], texts={"fr": given[4], "en": given[5]})
    client = as_member("editor", own)
    asked = {"name": "Acme", "site": "acme.example", "country": "FR", "contact": "dpo@acme.example"}
    where = client.post(f"/consent/purposes/{offers.pk}/partners", asked)["Location"]
    page = client.get(where.partition("#")[0]).content.decode()
    acme = partners.named(offers)[0]
    assert f'href="/consent/partners/{acme.pk}"' in page and "Partners: Acme (France, acme.example)." in page
    assert "Acme" not in page[page.index('name="text_en"') :].partition("</textarea>")[0], "what is typed are the words"
    assert as_member("viewer", own).post(f"/consent/purposes/{offers.pk}/partners", asked).status_code == 403
    reader = Contact.objects.get(pk=own.people[0].pk)
    proof = acts.evidence(own.workspace, "line", "salon", text=purposes.text(offers))
    people.grant(reader, offers, proof_of=proof, proof="1", own_act=True)
    assert f'value="-partner-{acme.pk}"' in client.get("/exports/new?all=1").content.decode()
    sent = {"all": "1", "kind": "csv", "column": ["email"], "purpose": f"-partner-{acme.pk}"}
    assert client.post("/exports/new", sent).status_code == 422, "no reason"
    where = client.post("/exports/new", sent | {"reason": "Contract of May"})["Location"]
    export = Export.objects.filter(workspace=own.workspace).latest("id")
    assert export.job_id is not None
    make_export(export.pk, export.job_id)
    assert b"".join(client.get(f"{where}/file").streaming_content).decode("utf-8-sig").split()[1:] == [reader.email]
    assert "for the partner Acme, because: Contract of May" in client.get(where).content.decode()
    noted = JournalEntry.objects.filter(workspace=own.workspace, action="export.asked").latest("pk")
    assert noted.facts["partner"] == "Acme" and noted.facts["reason"] == "Contract of May"
    acts.withdraw(own.workspace.pk, reader.pk, [offers])
    assert client.get(f"{where}/file").status_code == 303, "she does not leave with the file any more"
    assert f"/consent/partners/{acme.pk}" in client.get("/consent/requests").content.decode()
    page = client.get(f"/consent/partners/{acme.pk}").content.decode()
    assert "1 person took the agreement back since" in page and "dpo@acme.example" in page
    listed = client.get(f"/consent/partners/{acme.pk}/list.csv").content.decode().split()
    assert listed == ["email_sha256", partners.mark_of(reader.email_key)]
    assert client.post(f"/consent/partners/{acme.pk}", {"act": "otherwise", "how": " "}).status_code == 422
    assert client.post(f"/consent/partners/{acme.pk}", {"act": "mail"}).status_code == 303
    mail = MailRequest.objects.get(workspace_id=own.workspace.pk, kind="recipient")
    assert mail.recipient == "dpo@acme.example" and listed[1] in mail.facts["text"]
    assert client.post(f"/consent/partners/{acme.pk}", {"act": "drop"}).status_code == 303
    assert client.post(f"/consent/partners/{acme.pk}", {"act": "drop"}).status_code == 422
    page = client.get(f"/consent/partners/{acme.pk}").content.decode()
    assert "is a partner no more" in page and "1 person: by mail" in page
