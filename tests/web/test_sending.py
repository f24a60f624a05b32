"""The send page loses nothing typed, the live page works without a script, and what ended is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from envol.campaigns import checks, planning
from envol.campaigns.models import Campaign
from envol.db import execute
from envol.outbound.models import Sending
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]


@pytest.fixture(scope="module")
def shop() -> Shop:
    return open_shop("Librairie qui envoie", readers=40)


@pytest.fixture
def draft(shop: Shop) -> Campaign:
    """Ready to be sent to the 32 people who agreed."""
    Campaign.objects.filter(pk=shop.draft.pk).update(segment=shop.segment, state="draft", scheduled_at=None)
    Sending.objects.filter(campaign_id=shop.draft.pk).delete()
    shop.draft.refresh_from_db()
    return shop.draft


def state(campaign: Campaign) -> str:
    return str(Campaign.objects.values_list("state", flat=True).get(pk=campaign.pk))


@pytest.mark.parametrize(
    ("day", "hour", "why"),
    [("2020-01-01", "09:30", "has passed"), ("2027-03-28", "02:30", "does not exist"), ("", "", "Choose a day and an")],
)
def test_a_moment_that_cannot_be_is_refused_and_kept(
    draft: Campaign, as_member: Sign, day: str, hour: str, why: str
) -> None:
    answer = as_member("editor").post(
        f"/campaigns/{draft.pk}/send", {"people": "32", "when": "later", "day": day, "hour": hour}
    )
    page = answer.content.decode()
    assert answer.status_code == 422 and why in page and state(draft) == "draft"
    assert f'name="day" type="date" value="{day}"' in page and f'name="hour" type="time" value="{hour}"' in page
    assert 'value="later" checked' in page


def test_a_sending_can_be_planned_and_says_when_and_where(draft: Campaign, as_member: Sign) -> None:
    client = as_member("editor")
    day = f"{timezone.now().year + 1}-01-15"
    answer = client.post(f"/campaigns/{draft.pk}/send", {"people": "32", "when": "later", "day": day, "hour": "09:30"})
    if answer.status_code == 422:  # in the last days of January that is more than a year away
        pytest.skip("too near the turn of the year")
    assert answer["Location"] == f"/campaigns/{draft.pk}/live"
    page = client.get(answer["Location"]).content.decode()
    assert "Starts on" in page and "09:30" in page and "Take it back" in page
    assert "<take-back" not in page, "a countdown is for what leaves at once"
    assert client.post(f"/campaigns/{draft.pk}/act", {"act": "take_back"}).status_code == 303
    assert state(draft) == "draft"


def test_far_more_than_usual_asks_for_the_number(
    draft: Campaign, as_member: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "usual", lambda workspace: planning.Usual(3, None))
    client = as_member("editor")
    assert "Usually 3 people get a campaign of yours" in client.get(f"/campaigns/{draft.pk}/send").content.decode()
    wrong = client.post(f"/campaigns/{draft.pk}/send", {"people": "32", "when": "now", "typed": "31"})
    assert wrong.status_code == 422 and 'value="31"' in wrong.content.decode() and state(draft) == "draft"
    assert client.post(f"/campaigns/{draft.pk}/send", {"people": "32", "when": "now", "typed": "32"}).status_code == 303
    assert state(draft) == "scheduled"
    page = client.get(f"/campaigns/{draft.pk}/live").content.decode()
    assert "<take-back" in page and 'role="timer"' in page and ">Refresh<" in page


def test_stopping_asks_first_also_without_a_script(shop: Shop, as_member: Sign) -> None:
    client = as_member("editor")
    live = f"/campaigns/{shop.sent.pk}/live"
    Campaign.objects.filter(pk=shop.sent.pk).update(state="sending")
    Sending.objects.filter(pk=shop.sending.pk).update(state="sending", ended_at=None)
    page = client.get(live).content.decode()
    assert 'href="?ask=stop"' in page and "Stop for good" in page
    asked = client.get(f"{live}?ask=stop").content.decode()
    assert "cannot be resumed" in asked and "Keep sending" in asked and state(shop.sent) == "sending"
    for act, after in (("pause", "paused"), ("resume", "sending"), ("stop", "stopped")):
        assert client.post(f"/campaigns/{shop.sent.pk}/act", {"act": act}).status_code == 303
        assert state(shop.sent) == after
    refused = client.post(f"/campaigns/{shop.sent.pk}/act", {"act": "resume"}, follow=True).content.decode()
    assert "cannot be resumed" in refused and state(shop.sent) == "stopped", "stop is final"
    assert "Read the report" in client.get(live).content.decode()


def test_a_script_gets_the_part_that_moves(shop: Shop, as_member: Sign) -> None:
    client = as_member("viewer")
    for path, part in ((f"/campaigns/{shop.sent.pk}/live", "data-quarter"), ("/", "")):
        answer = client.get(path, headers={"HX-Request": "true"})
        assert "<html" not in answer.content.decode() and "HX-Request" in answer["Vary"]
        assert part in answer.content.decode()
    assert 'name="act"' not in client.get(f"/campaigns/{shop.sent.pk}/live").content.decode(), "who reads has no acts"


def test_what_ended_is_told_once_to_its_workspace(shop: Shop, other_shop: Shop, as_member: Sign) -> None:
    now = timezone.now()
    Sending.objects.filter(pk=shop.sending.pk).update(state="sent", ended_at=now)
    client = as_member("viewer")
    since = int(now.timestamp())
    answer = client.get(f"/notices?since={since}")
    page = answer.content.decode()
    assert "Lettre d&#x27;automne" in page and f"/campaigns/{shop.sent.pk}/report" in page
    assert int(answer["X-Until"]) >= since
    assert "notice" not in client.get(f"/notices?since={since + 5}").content.decode()
    assert "automne" not in as_member("viewer", other_shop).get(f"/notices?since={since}").content.decode()
    assert client.get("/notices?since=nonsense").status_code == 200


def test_on_a_large_base_the_pages_come_before_their_figures(as_member: Sign, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_shop("Librairie lente", readers=30)

    def slow(campaign: Campaign, *more: Any) -> checks.Summary:
        execute("SELECT pg_sleep(5)")
        return summary(campaign, *more)

    summary = checks.summary
    monkeypatch.setattr(checks, "is_large", lambda table: True)
    monkeypatch.setattr(checks, "summary", slow)
    client = as_member("editor", shop)
    where = f"/campaigns/{shop.draft.pk}"
    pages = {path: client.get(path).content.decode() for path in (where, f"{where}/checks", f"{where}/send")}
    monkeypatch.setattr(checks, "summary", summary)
    assert "may be written to</strong>" not in pages[where] and "Everything is in place" not in pages[where]
    assert "may be written to" in client.get(f"{where}?part=who", HTTP_HX_REQUEST="true").content.decode()
    assert "may be written to" in client.get(f"{where}?count=1").content.decode()
    assert "Nothing keeps this" not in pages[f"{where}/checks"] and 'hx-select="#checks"' in pages[f"{where}/checks"]
    assert 'name="people"' not in pages[f"{where}/send"], "nothing is sent by a page that has not counted"
    assert 'hx-select="#sending"' in pages[f"{where}/send"]
    assert 'name="people"' in client.get(f"{where}/send?whole=1").content.decode()
