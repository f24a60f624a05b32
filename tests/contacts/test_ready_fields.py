"""Fields ready to add, with choices in both languages; what is said freely is neither demanded nor guessed."""

from __future__ import annotations

import pytest

from envol.accounts.models import Workspace
from envol.collect import signup
from envol.consent import purposes
from envol.contacts import catalogue, fields
from envol.contacts.models import List


def test_each_can_be_taken_over_once(workspace: Workspace) -> None:
    offered = fields.proposed(workspace)
    assert {one.group for one in offered} == set(fields.GROUPS) and len(offered) == len(fields.PROPOSED)
    serves = purposes.mask(workspace, "personalisation")
    for one in offered:
        made = fields.adopt(workspace, one.key)
        assert made.type == one.type and not made.inferred and made.purposes in (0, serves)
        for (value, french, english), kept in zip(one.choices, made.choices, strict=True):
            assert kept == {"value": value, "label_fr": french, "label_en": english}
            for word in (value, french, english):
                found = catalogue.canonical(made, word)
                assert found in (value, [value]), word
    assert fields.proposed(workspace) == []
    with pytest.raises(fields.FieldProblem, match="already"):
        fields.adopt(workspace, "gender")


def test_gender_is_said_freely_or_not_at_all(workspace: Workspace) -> None:
    gender = fields.adopt(workspace, "gender")
    assert "undisclosed" in [choice["value"] for choice in gender.choices]
    assert [catalogue.canonical(gender, text) for text in ("F", "h", "femme")] == ["woman", "man", "woman"]
    with pytest.raises(ValueError, match="none of the choices"):
        catalogue.canonical(gender, "Madame")
    with pytest.raises(ValueError, match="inferred"):
        catalogue.declare(workspace, "gender", "choice", "Genre", "Gender", choices=["x"], inferred=True)
    form = signup.create(workspace, List.objects.create(workspace=workspace, name="Club"), "letter")
    asked = {
        "words": form.words, "languages": form.languages, "purposes": form.purposes, "notice_url": "",
        "redirect_url": "",
    }  # fmt: skip
    with pytest.raises(signup.Problem) as wrong:
        signup.save(form, **asked, fields=[("gender", True)])
    assert "cannot be required" in wrong.value.problems["fields"]
    signup.save(form, **asked, fields=[("gender", False)])
    assert form.fields == [{"key": "gender", "required": False}]
