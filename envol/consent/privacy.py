"""What consent itself erases, exports and describes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from envol.accounts import looks
from envol.consent import informing, ledger, partners, registry, requests
from envol.consent.registry import Data
from envol.db import dicts, execute
from envol.events import privacy as events


def erase(workspace_id: int, contact_id: int) -> Mapping[str, int]:
    return {
        "consent_permission": ledger.forget(workspace_id, contact_id),
        "consent_acceptance": execute(
            "DELETE FROM consent_acceptance WHERE workspace_id = %s AND contact_id = %s", [workspace_id, contact_id]
        ),
        "consent_informing": execute(
            "DELETE FROM consent_informing WHERE workspace_id = %s AND contact_id = %s", [workspace_id, contact_id]
        ),
        "consent_breach_told": execute("DELETE FROM consent_breach_told WHERE contact_id = %s", [contact_id]),
        "consent_restriction": execute(
            "DELETE FROM consent_restriction WHERE workspace_id = %s AND contact_id = %s", [workspace_id, contact_id]
        ),
        "consent_directive": execute(
            "DELETE FROM consent_directive WHERE workspace_id = %s AND contact_id = %s", [workspace_id, contact_id]
        ),
        "consent_handing": partners.forget(workspace_id, contact_id),
        "consent_hold": execute(
            "DELETE FROM consent_hold WHERE workspace_id = %s AND contact_id = %s", [workspace_id, contact_id]
        ),
        "consent_request": requests.forget(workspace_id, contact_id),
        "consent_silence": execute(
            "DELETE FROM consent_silence WHERE workspace_id = %s AND contact_id = %s", [workspace_id, contact_id]
        ),
    }


def answers(workspace_id: int, contact_id: int) -> list[dict[str, Any]]:
    """Every answer of one person with the words, the source and the strength of its evidence, oldest first."""
    return dicts(
        "SELECT p.id, u.key AS purpose, p.state, p.basis, p.since, p.until, p.proof, p.block, p.leaf,"
        " e.strength, e.source, e.statement, e.document_name, t.version AS text_version, t.language AS text_language,"
        " t.text, CASE p.basis WHEN 'customer' THEN e.facts ->> 'product_family' END AS product_family,"
        " CASE p.basis WHEN 'customer' THEN e.facts ->> 'entity_id' END AS seller"
        " FROM consent_permission p JOIN consent_purpose u ON u.id = p.purpose_id"
        " LEFT JOIN consent_evidence e ON e.id = p.evidence_id"
        " LEFT JOIN consent_purpose_text t ON t.id = e.text_id"
        " WHERE p.workspace_id = %s AND p.contact_id = %s ORDER BY p.since, p.block, p.leaf",
        [workspace_id, contact_id],
    )


def export(workspace_id: int, contact_id: int) -> Mapping[str, Any]:
    found = answers(workspace_id, contact_id)
    for row in found:
        row["since"] = row["since"].isoformat()
        row["until"] = row["until"].isoformat() if row["until"] else None
    rests = dicts(
        "SELECT reason, since, until FROM consent_silence WHERE workspace_id = %s AND contact_id = %s ORDER BY since",
        [workspace_id, contact_id],
    )
    for row in rests:
        row["since"] = row["since"].isoformat()
        row["until"] = row["until"].isoformat() if row["until"] else None
    told = dicts(
        "SELECT b.title, t.at FROM consent_breach_told t JOIN consent_breach b ON b.id = t.breach_id"
        " WHERE b.workspace_id = %s AND t.contact_id = %s ORDER BY t.at",
        [workspace_id, contact_id],
    )
    for row in told:
        row["at"] = row["at"].isoformat()
    asked = dicts(
        "SELECT kind, state, channel, received_at, due_at, ended_at, words, answer FROM consent_request"
        " WHERE workspace_id = %s AND contact_id = %s ORDER BY received_at",
        [workspace_id, contact_id],
    )
    limits = dicts(
        "SELECT scope, reason, since, until FROM consent_restriction WHERE workspace_id = %s AND contact_id = %s"
        " ORDER BY since",
        [workspace_id, contact_id],
    )
    versions = dicts(
        "SELECT v.kind, v.no, a.how, a.at FROM consent_acceptance a"
        " JOIN consent_policy_version v ON v.id = a.version_id"
        " WHERE a.workspace_id = %s AND a.contact_id = %s ORDER BY a.at",
        [workspace_id, contact_id],
    )
    wishes = dicts(
        "SELECT wish, person, since, until FROM consent_directive WHERE workspace_id = %s AND contact_id = %s"
        " ORDER BY since",
        [workspace_id, contact_id],
    )
    origins = informing.of_person(workspace_id, contact_id)
    given = partners.given_of(workspace_id, contact_id)
    for row in (*asked, *limits, *versions, *origins, *wishes, *given):
        for key, value in row.items():
            row[key] = value.isoformat() if isinstance(value, date) else value
    return {
        "permissions": found,
        "marketing_rested": rests,
        "breaches_told": told,
        "texts": versions,
        "requests": asked,
        "restricted": limits,
        "came_from": origins,
        "after_death": wishes,
        "passed_on_to": given,
    }


def describe() -> list[Data]:
    return [
        Data("consent_permission", "answers per purpose: state, basis, dates, proof"),
        Data("consent_evidence", "documents and statements that prove permissions", True, "while used, then 5 years"),
        Data("consent_ledger_block", "commitments; nothing readable", False, "for ever"),
        Data("consent_silence", "why marketing rested for the person, from when to when"),
        Data(
            "consent_desk",
            "who is responsible and who looks after data protection, as the organisation says",
            True,
            "as long as the organisation",
        ),
        Data("consent_processor", "who gets data, with contract and contact", True, "5 years after its end"),
        Data("consent_partner", "partners that purposes name, by version of their words", False, "without end"),
        Data(
            "consent_handing",
            "who was given to which partner, and what it has to be told; after an erasure a digest until then",
        ),
        Data("consent_breach", "breaches, suspicions and drills", False, "without end"),
        Data("consent_breach_line", "what was found, decided and told of a breach", False, "without end"),
        Data(
            "consent_demand",
            "what authorities of third countries demanded, and what was answered",
            False,
            "without end",
        ),
        Data("consent_breach_told", "who was told of a breach, and when", True, "as long as the contact"),
        Data("consent_assessment", "assessments of purposes", False, "5 years"),
        Data("consent_policy_version", "notices, policies and terms by version", False, "without end"),
        Data("consent_acceptance", "which version a person was told of or took, and when"),
        Data("consent_origin", "who gave us data that people did not give themselves", False, "without end"),
        Data("consent_informing", "whose data came from somebody else, and when the person was told"),
        Data("consent_map_reading", "the data map as it was last read", False),
        Data("consent_request", "what people asked about their data, and the answer", True, "5 years"),
        Data("consent_request_step", "what was done about it, by whom", True, "5 years"),
        Data("consent_retention", "how long each category is kept", False),
        Data("consent_hold", "whose data outlast their term, and why"),
        Data("consent_directive", "what people wish to become of their data when they have died"),
        Data("consent_restriction", "whose data are kept and not used, or not used for profiling, from when to when"),
        Data("consent_erasure", "who was erased, by keyed digest; what went where", True, "as long as mail is sent"),
        Data("consent_suppression", "keyed digest of the address, scope, reason", True, "as long as mail is sent"),
        Data("consent_suppression_past", "the same of what ended, from when to when", True, "5 years"),
    ]


def _describe_events() -> list[Data]:
    return [
        Data("events_event", "reactions, stays on lists: kind, time, link", True, "13 months, then sums"),
        Data("events_custom_event", "names of events that programs tell of, and of what is told with them", False),
        Data("events_last_act", "when somebody last acted, from months that are gone"),
        Data("events_mail_request", "mail a room asked for: recipient, kind", True, "30 days"),
        Data("events_endpoint", "programs that are told what happened", False),
        Data("events_outbox", "what programs are told: kind, time, person; mail for them until told", True, "7 days"),
    ]


def _describe_accounts() -> list[Data]:
    return [
        Data(
            "accounts_user",
            "members: name, address, language, password digest",
            True,
            "as long as the membership",
        ),
        Data("accounts_member", "which member has which role", True, "as long as the membership"),
        Data("account_emailaddress", "addresses of members", True, "as long as the membership"),
        Data("account_emailconfirmation", "confirmations of addresses of members", True, "3 days"),
        Data("mfa_authenticator", "second factors and passkeys of members, sealed", True, "as long as the membership"),
        Data("django_session", "sessions of members", True, "14 days"),
        Data("accounts_journal", "acts of members, programs and jobs, without addresses", True, "without end"),
        Data("accounts_look", "which member opened whose page, by day", True, "1 year"),
        Data("accounts_sent_form", "digests of forms that members sent", True, "2 days"),
        Data("accounts_undo", "how an act can be taken back", False, "7 days"),
        Data("accounts_job", "long work: how far it is", False),
        Data("accounts_api_key", "programs and what they may do", False),
        Data("accounts_key_use", "how much programs handed in", False, "1 day"),
        Data("accounts_workspace", "the organisation", False),
    ]


def _erase_accounts(workspace_id: int, contact_id: int) -> Mapping[str, int]:
    return {"accounts_look": looks.forget(workspace_id, contact_id)}


def _export_accounts(workspace_id: int, contact_id: int) -> Mapping[str, Any]:
    return {"looked_at": looks.of_person(workspace_id, contact_id)}


def register() -> None:
    # These lie below and cannot register with us.
    registry.register("accounts", erase=_erase_accounts, export=_export_accounts, describe=_describe_accounts)
    registry.register("events", erase=events.erase, export=events.export, describe=_describe_events)
    registry.register("consent", erase=erase, export=export, describe=describe)
