"""contactslistsignup: who came to a list by a form, once confirmed.

A request that waits for its confirmation is told to nobody: the address may be somebody else's. Network addresses and
the secret of the link are not kept, so they are empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from envol.accounts.models import Scope
from envol.api.rest.ground import Call, Resource, missing, number_of
from envol.api.rest.people import address
from envol.api.rest.values import told
from envol.contacts.models import Contact, Membership, Source


def _mine(call: Call) -> QuerySet[Membership]:
    forms = Source.objects.filter(workspace=call.workspace, kind="form").values("pk")
    return Membership.objects.filter(workspace_id=call.workspace.pk, source_id__in=forms)


def _rows(call: Call) -> QuerySet[Membership]:
    found = _mine(call)
    if (number := call.number("contactslist", "list")) is not None:
        found = found.filter(list_id=number)
    if (number := call.number("contact")) is not None:
        found = found.filter(contact_id=number)
    if "email" in call.query:
        people = Contact.objects.filter(
            workspace_id=call.workspace.pk, email_key=address(call.query["email"]).lower()
        ).values("pk")
        found = found.filter(contact_id__in=people)
    return found


def _one(call: Call, key: str) -> Membership:
    found = _mine(call).filter(pk=number_of(key) or 0).first()
    if found is None:
        raise missing()
    return found


def _show(call: Call, found: Sequence[Membership]) -> list[dict[str, Any]]:
    people = Contact.objects.filter(workspace_id=call.workspace.pk, pk__in={one.contact_id for one in found})
    emails = dict(people.values_list("pk", "email"))
    sources = dict(Source.objects.filter(pk__in={one.source_id for one in found}).values_list("pk", "label"))
    return [
        {
            "ConfirmAt": told(one.since),
            "ConfirmIp": "",
            "ContactID": one.contact_id,
            "Email": emails.get(one.contact_id, ""),
            "ID": one.pk,
            "ListID": one.list_id,
            "SignupAt": told(one.since),
            "SignupIp": "",
            "SignupKey": "",
            "Source": sources.get(one.source_id or 0, ""),
            "SourceId": one.source_id or 0,
        }
        for one in found
    ]


SIGNUP = Resource("contactslistsignup", _rows, _one, _show, Scope.CONTACTS, sorts={"id": ("pk", True)})
