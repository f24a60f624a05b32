"""sender, dns, apikey, myprofile, user: who may write, as whom, and with which key. Programs ask these first, to learn
whether their key is right.

A sender is a domain of the workspace: whoever writes as any address of it is one. Domains are shown as ``*@domain``.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from envol.accounts import api_keys
from envol.accounts.models import ApiKey, Member, Role, Scope
from envol.api.rest.ground import Call, Resource, Wrong, missing, number_of
from envol.api.rest.people import address
from envol.api.rest.values import Field, Invalid, anything, boolean, text, told
from envol.outbound import domains, records
from envol.outbound.models import Domain
from envol.wire.address import domain_of


@dataclass(slots=True)
class Sender:
    """An address as a program names it, and the domain it is of."""

    email: str
    domain: Domain
    name: str = ""


def _secret_word(what: str, domain: Domain) -> str:
    return hmac.digest(settings.SECRET_KEY.encode(), f"{what} {domain.pk}".encode(), sha256).hex()[:32]


def _active(call: Call, domain: Domain) -> bool:
    may = api_keys.may_write_as(call.key.senders, f"postmaster@{domain.name}", envelope=True)
    return may and domains.may_send_from(call.workspace.pk, f"postmaster@{domain.name}")[0]


def _domain(call: Call, key: str) -> Domain:
    number = number_of(key)
    mine = Domain.objects.filter(workspace=call.workspace)
    one = (mine.filter(pk=number) if number is not None else mine.filter(name=key.rpartition("@")[2].lower())).first()
    if one is None:
        raise missing()
    return one


# ---- sender


def _sender(call: Call, key: str) -> Sender:
    return Sender(key if "@" in key else "", _domain(call, key))


def _senders(call: Call) -> list[Sender]:
    query = call.query
    found = [Sender("", one) for one in Domain.objects.filter(workspace=call.workspace).order_by("pk")]
    if email := query.get("email"):
        found = [Sender(email, one.domain) for one in found if one.domain.name == email.rpartition("@")[2].lower()]
    if "domain" in query:
        found = [one for one in found if one.domain.name == query["domain"].lower()]
    if (number := call.number("dnsid")) is not None:
        found = [one for one in found if one.domain.pk == number]
    if "status" in query:
        wanted = query["status"].lower()
        found = [one for one in found if ("active" if _active(call, one.domain) else "inactive") == wanted]
    if (whole := call.switch("isdomainsender")) is not None:
        found = [one for one in found if one.email.startswith("*") or not one.email] if whole else []
    call.switch("showdeleted")  # none that is gone is kept
    if "localpart" in query and query["localpart"] != "*":
        found = []
    return found


def _told_senders(call: Call, found: Sequence[Sender]) -> list[dict[str, Any]]:
    return [
        {
            "CreatedAt": told(one.domain.created_at),
            "DNSID": one.domain.pk,
            "Email": one.email or f"*@{one.domain.name}",
            "EmailType": "unknown",
            "Filename": f"{_secret_word('sender file', one.domain)}.txt",
            "ID": one.domain.pk,
            "IsDefaultSender": False,
            "Name": one.name,
            "Status": "Active" if _active(call, one.domain) else "Inactive",
        }
        for one in found
    ]


def _told_metasenders(call: Call, found: Sequence[Sender]) -> list[dict[str, Any]]:
    """Every address of a domain: what a sender here is anyway."""
    return [
        {
            "CreatedAt": row["CreatedAt"],
            "Description": "",
            "Email": f"*@{one.domain.name}",
            "Filename": row["Filename"],
            "ID": row["ID"],
            "IsEnabled": row["Status"] == "Active",
        }
        for one, row in zip(found, _told_senders(call, found), strict=True)
    ]


def _whole_domain(raw: Any) -> str:
    """``*@domain``, written so or as any address of it."""
    return f"*@{text(raw).rpartition('@')[2]}"


def _add_sender(call: Call, given: dict[str, Any]) -> Sender:
    """An address of a domain that is ready is a sender at once; of another, its domain is declared and waits."""
    email = given["Email"]
    whole = email.startswith("*@")
    domain = domain_of(address(f"postmaster{email[1:]}" if whole else email))
    known = Domain.objects.filter(workspace=call.workspace, name=domain).first()
    if known is not None and whole:
        if _active(call, known):
            raise Invalid(f'MJ18 A Sender resource with value "{email}" for Email already exists.')
        raise Wrong(
            400,
            "There is an already existing inactive sender with the same email. "
            'You can use "validate" action in order to activate it.',
        )
    if known is None:
        if said := api_keys.lacks(call.key, Scope.CAMPAIGNS):
            raise Wrong(403, said)
        try:
            known = domains.add(call.workspace, domain)
        except ValueError as error:
            raise Invalid(f"MJ08 Property Email is invalid: {error}") from None
        known.refresh_from_db()
    return Sender(email, known, given.get("Name", ""))


def _validate(call: Call, one: Sender, behind: str) -> list[Any]:
    """Look at the domain's records now."""
    if _active(call, one.domain):
        raise Wrong(400, "The sender is already active!")
    now = domains.check(one.domain)
    if now.passed_at:
        return [{"Errors": {}, "GlobalError": "", "ValidationMethod": "DNS"}]
    lacking = [
        f"{find['record']} {find['name']}"
        for find in now.findings
        if find["level"] == records.NEEDED and not find["ok"]
    ]
    why = f"Publish these records first: {', '.join(lacking)}"
    return [{"Errors": {"DNSValidationError": why}, "GlobalError": why}]


# ---- dns


def _dns_rows(call: Call) -> QuerySet[Domain]:
    return Domain.objects.filter(workspace=call.workspace)


def _finding(domain: Domain, record: str) -> dict[str, Any]:
    return next((one for one in domain.findings if one["record"].startswith(record)), {})


def _status(domain: Domain, record: str) -> str:
    found = _finding(domain, record)
    if not found:
        return "Not checked"
    return "OK" if found["ok"] else "Error"


def _told_dns(call: Call, found: Sequence[Domain]) -> list[dict[str, Any]]:
    rows = []
    for one in found:
        wanted = {record["record"].partition(" ")[0]: record for record in records.expected_records(one)}
        key, spf = wanted.get("DKIM", {}), wanted.get("SPF", {})
        rows.append(
            {
                "DKIMRecordName": f"{key.get('name', '')}.",
                "DKIMRecordValue": key.get("expected", ""),
                "DKIMStatus": _status(one, "DKIM"),
                "Domain": one.name,
                "ID": one.pk,
                "IsCheckInProgress": False,
                "LastCheckAt": told(one.checked_at),
                "OwnerShipToken": _secret_word("ownership", one),
                "OwnerShipTokenRecordName": "",
                "SPFRecordValue": spf.get("expected", ""),
                "SPFStatus": _status(one, "SPF"),
            }
        )
    return rows


def _check_dns(call: Call, one: Domain, behind: str) -> list[Any]:
    now = domains.check(one)
    key, spf = _finding(now, "DKIM"), _finding(now, "SPF")

    def faults(found: dict[str, Any]) -> list[str]:
        return [] if found.get("ok") else [f"{found.get('name', '')} is not {found.get('expected', '')}"]

    return [
        {
            "DKIMErrors": faults(key),
            "DKIMRecordCurrentValue": str(key.get("found") or ""),
            "DKIMStatus": _status(now, "DKIM"),
            "SPFErrors": faults(spf),
            "SPFRecordsCurrentValues": [str(spf["found"])] if spf.get("found") else [],
            "SPFStatus": _status(now, "SPF"),
        }
    ]


# ---- apikey


def _key_rows(call: Call) -> QuerySet[ApiKey]:
    """Its own key, and no other: a program looks after itself."""
    found = ApiKey.objects.filter(pk=call.key.pk)
    if "apikey" in call.query:
        found = found.filter(public_id=call.query["apikey"])
    if "name" in call.query:
        found = found.filter(name=call.query["name"])
    for name in ("isactive", "ismaster"):
        if call.switch(name) is False:
            found = found.none()
    return found


def _key(call: Call, key: str) -> ApiKey:
    if key not in (call.key.public_id, str(call.key.pk)):
        raise missing()
    return call.key


def _told_keys(call: Call, found: Sequence[ApiKey]) -> list[dict[str, Any]]:
    owner = _owner(call)
    return [
        {
            "ACL": "",
            "APIKey": one.public_id,
            "CreatedAt": told(one.created_at),
            "ID": one.pk,
            "IsActive": True,
            "IsMaster": True,
            "Name": one.name,
            "QuarantineValue": 0,
            "RegionID": "",
            "Runlevel": "Normal",
            "SecretKey": "",
            "Skipspamd": False,
            "TrackHost": settings.ENVOL.base_url.partition("://")[2],
            "UserID": owner.pk if owner else 0,
        }
        for one in found
    ]


def _rename_key(call: Call, one: ApiKey, given: dict[str, Any]) -> bool:
    name = given.get("Name", one.name)[:100]
    if name == one.name:
        return False
    ApiKey.objects.filter(pk=one.pk).update(name=name)
    one.name = name
    return True


# ---- myprofile, user


def _owner(call: Call) -> Member | None:
    mine = Member.objects.filter(workspace=call.workspace, role=Role.OWNER)
    return mine.select_related("user").order_by("pk").first()


def _owners(call: Call) -> list[Member | None]:
    return [_owner(call)]


def _the_owner(call: Call, key: str) -> Member | None:
    owner = _owner(call)
    if owner is None or key.lower() not in (str(owner.pk), owner.user.email):
        raise missing()
    return owner


_PROFILE = [
    "AddressCity",
    "AddressCountry",
    "AddressPostalCode",
    "AddressState",
    "AddressStreet",
    "BillingEmail",
    "BirthdayAt",
    "CompanyNumOfEmployees",
    "ContactPhone",
    "EstimatedVolume",
    "Features",
    "Firstname",
    "Industry",
    "JobTitle",
    "Lastname",
    "VATNumber",
    "Website",
]


def _told_profile(call: Call, found: Sequence[Member | None]) -> list[dict[str, Any]]:
    """The organisation, whose key it is; of its members nothing (GDPR art. 5(1)(c))."""
    shown: dict[str, Any] = dict.fromkeys(_PROFILE, "")
    return [
        shown
        | {
            "AddressStreet": call.workspace.postal_address,
            "CompanyName": call.workspace.title,
            "ID": call.workspace.pk,
            "UserID": one.pk if one else 0,
            "VAT": 0,
        }
        for one in found
    ]


def _told_user(call: Call, found: Sequence[Member | None]) -> list[dict[str, Any]]:
    return [
        {
            "ACL": "",
            "CreatedAt": told(one.created_at if one else call.workspace.created_at),
            "Email": "",
            "FirstIp": "",
            "ID": one.pk if one else 0,
            "LastIp": "",
            "LastLoginAt": "",
            "Locale": "fr_FR" if call.workspace.language == "fr" else "en_US",
            "MaxAllowedAPIKeys": 0,
            "Timezone": call.workspace.time_zone,
            "Username": call.workspace.name,
            "WarnedRatelimitAt": "",
        }
        for one in found
    ]


SENDER = Resource(
    "sender", _senders, _sender, _told_senders,
    fields={"Email": Field(text, required=True), "Name": Field(text), "EmailType": Field(text),
            "IsDefaultSender": Field(boolean)},
    sorts={"id": ("pk", True)}, create=_add_sender, acts={"validate": {"POST": _validate}},
)  # fmt: skip
METASENDER = Resource(
    "metasender", lambda call: [one for one in _senders(call) if not one.email], _sender, _told_metasenders,
    fields={"Email": Field(_whole_domain, required=True), "Description": Field(text)}, create=_add_sender,
)  # fmt: skip
DNS = Resource("dns", _dns_rows, _domain, _told_dns, acts={"check": {"POST": _check_dns}})
KEY = Resource(
    "apikey", _key_rows, _key, _told_keys, fields={"Name": Field(text), "ACL": Field(anything)}, change=_rename_key,
    sorts={"id": ("pk", False), "name": ("name", True), "createdat": ("created_at", False)}
    | dict.fromkeys(("ismaster", "isactive"), ("pk", False)),
)  # fmt: skip
PROFILE = Resource("myprofile", _owners, _the_owner, _told_profile)
USER = Resource("user", _owners, _the_owner, _told_user)
