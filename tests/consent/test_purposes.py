from __future__ import annotations

import pytest

from envol.accounts.models import Workspace
from envol.consent import purposes
from envol.consent.models import Purpose, PurposeText


def test_a_workspace_begins_with_six_purposes_each_with_words_in_two_languages(workspace: Workspace) -> None:
    found = Purpose.objects.filter(workspace=workspace).order_by("bit").values_list("bit", "key", "kind")
    assert list(found) == [
        (0, "measure_opens", "measuring"),
        (1, "measure_clicks", "measuring"),
        (2, "newsletter", "marketing"),
        (3, "offers", "marketing"),
        (4, "transactional", "transactional"),
        (5, "personalisation", "marketing"),
    ]
    texts = PurposeText.objects.filter(purpose__workspace=workspace, version=1).values_list("purpose__bit", "language")
    assert sorted(texts) == [(bit, language) for bit in range(6) for language in ("en", "fr")]


def test_new_words_are_a_new_version_and_the_old_ones_stay(workspace: Workspace) -> None:
    newsletter = purposes.get(workspace, "newsletter")
    before = purposes.text(newsletter, "fr")
    assert purposes.reword(newsletter, {"fr": "Recevez notre lettre du mardi."}) == 2
    assert purposes.text(newsletter, "fr").text == "Recevez notre lettre du mardi."
    assert purposes.text(newsletter, "fr", version=1) == before


def test_the_next_purpose_takes_the_next_bit_and_an_unknown_one_is_named(workspace: Workspace) -> None:
    partners = purposes.add(workspace, "partners", "Partenaires", "Partners", texts={"fr": "…"})
    assert partners.bit == 6
    assert purposes.mask(workspace, "newsletter", "partners", "partners") == 0b1000100
    with pytest.raises(Purpose.DoesNotExist, match=r"lettre.*newsletter"):
        purposes.get(workspace, "lettre")
    with pytest.raises(ValueError, match="words"):
        purposes.add(workspace, "silent", "S", "S", texts={"fr": " "})
