"""A sign-up form, a stranger who fills it, and the mail that would leave."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from envol.accounts.models import Workspace
from envol.collect import joining, signup
from envol.collect.models import SignupForm
from envol.contacts.models import List
from envol.events.models import MailRequest

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PAGE = "https://lettre.librairie.example/s/x"


def make_form(workspace: Workspace, name: str = "Lettre", starter: str = "first_name", **more: Any) -> SignupForm:
    form = signup.create(workspace, List.objects.create(workspace=workspace, name=name), starter)
    signup.switch(form, True)
    for key, value in more.items():
        setattr(form, key, value)
    form.save()
    return form


def shown(form: SignupForm, language: str = "fr", at: datetime | None = NOON) -> joining.Shown:
    return joining.Shown(tuple(t.pk for t in signup.texts_of(form, language)), at)


def post(form: SignupForm, email: str, **fields: str) -> dict[str, list[str]]:
    """The first purpose is ticked."""
    return {
        "email": [email],
        "agree": [str(shown(form).texts[0])],
        **{f"field_{key}": [value] for key, value in fields.items()},
    }


def ask(
    form: SignupForm,
    email: str,
    *,
    now: datetime = NOON,
    client: str = "192.0.2.1",
    language: str = "fr",
    **fields: str,
) -> str:
    seen = shown(form, language, now)
    written = joining.read(form, seen, {**post(form, email, **fields), "agree": [str(seen.texts[0])]})
    assert not written.wrong
    return joining.ask(form, written, seen, client=client, language=language, now=now)


def mails(workspace: Workspace) -> list[MailRequest]:
    return list(MailRequest.objects.filter(workspace_id=workspace.pk, kind="confirmation").order_by("id"))


def secret_of(request: MailRequest) -> str:
    found = re.search(r"/s/[\w-]+/([\w-]+)", request.facts["text"])
    assert found
    return found[1]
