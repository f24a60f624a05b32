"""May I write, and can I prove it? Purposes, their words by version, proofs, suppression, the ledger."""

from __future__ import annotations

import difflib
import re
from typing import Any

from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.journal import note
from envol.accounts.models import Role, User
from envol.accounts.workspaces import slug_of
from envol.collect import joining
from envol.consent import ledger, overview, purposes, suppression, tasks
from envol.consent.models import Purpose, PurposeText
from envol.contacts import counting
from envol.contacts.models import Contact
from envol.outbound import grounds
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience, may
from envol.web.meanwhile import moved, sentence
from envol.web.paging import PAGE, page_of
from envol.web.templatetags.envol import label
from envol.web.views import partners, purpose_terms
from envol.web.views.contacts import name_of
from envol.web.views.mail import KINDS as SENDINGS
from envol.wire.address import AddressError, normalise

STRENGTHS = (
    ("line", gettext_lazy("proof for each person"), "ok"),
    ("document", gettext_lazy("one document for a file"), "run"),
    ("statement", gettext_lazy("statement of a member"), "warn"),
    ("legacy", gettext_lazy("taken over from a former system"), "warn"),
    ("none", gettext_lazy("no proof"), "bad"),
)
KINDS = {
    "marketing": gettext_lazy("messages people choose"),
    "transactional": gettext_lazy("messages a contract needs"),
    "measuring": gettext_lazy("measuring reactions"),
}
SENT = 20
"""Messages that a proof shows; the others stand in its file."""
SCOPES = {"all": gettext_lazy("nothing at all is sent"), "marketing": gettext_lazy("no marketing is sent")}
REASONS = {
    "hard_bounce": gettext_lazy("the mailbox does not exist"),
    "unknown_user": gettext_lazy("the mailbox does not exist"),
    "mailbox_disabled": gettext_lazy("the mailbox has been closed for long"),
    "mailbox_full": gettext_lazy("the mailbox has been full for long"),
    "complaint": gettext_lazy("the person reported a message as unwanted"),
    "objection": gettext_lazy("the person objected to all marketing"),
    "unsubscribed": gettext_lazy("the person left everything"),
    "erased": gettext_lazy("the person had her data erased"),
    "paused": gettext_lazy("the person asked for a pause"),
    "by_hand": gettext_lazy("decided by a member"),
    "excluded": gettext_lazy("excluded from campaigns by a program"),
    "unknown_domain": gettext_lazy("the domain does not exist"),
    "null_mx": gettext_lazy("the domain takes no mail"),
}
BASES = {
    "consent": gettext_lazy("consent (GDPR art. 6(1)(a))"),
    "customer": gettext_lazy("existing customer, similar products (ePrivacy art. 13(2))"),
    "business": gettext_lazy("business contact (legitimate interest)"),
    "transactional": gettext_lazy("contract or legal obligation"),
}


_FACTS = {
    "form": gettext_lazy("form"),
    "page": gettext_lazy("page"),
    "place": gettext_lazy("place"),
    "mechanism": gettext_lazy("how she answered"),
    "actor": gettext_lazy("written down by"),
    "channel": gettext_lazy("for messages by"),
    "notice": gettext_lazy("information notice"),
    "double_opt_in": gettext_lazy("confirmed from her mailbox"),
    "sale_ref": gettext_lazy("sale"),
    "mailing_list": gettext_lazy("mailing list"),
    "sale_date": gettext_lazy("date of the sale"),
    "entity_id": gettext_lazy("seller"),
    "product_family": gettext_lazy("products"),
    "optout_offered": gettext_lazy("a refusal was offered"),
    "job_role": gettext_lazy("job"),
    "relation_note": gettext_lazy("why it concerns the job"),
}
_CODES = {
    "import": gettext_lazy("a file that was brought in"),
    "by_hand": gettext_lazy("given elsewhere, written down by a member"),
    "person": gettext_lazy("the person herself"),
    "email": gettext_lazy("e-mail"),
    "unticked_box": gettext_lazy("a box that was not ticked in advance"),
    "hosted_page": gettext_lazy("our own page"),
    "pasted_form": gettext_lazy("a form on another site"),
    "mail_to_list": gettext_lazy("a mail to a mailing list"),
    "mail_and_button": gettext_lazy("a mail, then a button under these words"),
}


def _fact(value: Any) -> Any:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return _CODES.get(value, value) if isinstance(value, str) else value


def _language() -> str:
    return "fr" if (get_language() or "en").startswith("fr") else "en"


@require_safe
@audience(Role.VIEWER)
def consent(request: MemberRequest) -> HttpResponse:
    return _overview(request)


def _overview(
    request: MemberRequest, *, new: dict[str, str] | None = None, wrong: dict[str, str] | None = None, **more: Any
) -> HttpResponse:
    workspace = request.workspace
    given, waiting = overview.answers(workspace.pk), joining.waiting(workspace.pk)
    total = counting.known(workspace.pk).people
    lines: list[dict[str, Any]] = []
    for purpose in Purpose.objects.filter(workspace=workspace).order_by("bit"):
        states = given.get(purpose.pk, {})
        granted = states.get("granted", 0)
        lines.append(
            {
                "purpose": purpose,
                "label": label(purpose),
                "kind": KINDS.get(purpose.kind, purpose.kind),
                "granted": granted,
                "share": round(1000 * granted / total) / 10 if total else 0,
                "gone": sum(states.get(state, 0) for state in ledger.REFUSALS),
                "asked": waiting.get(purpose.pk, 0),
                "requested": states.get("requested", 0),
                "text": purposes.text(purpose, _language()),
            }
        )
    order = ("marketing", "measuring", "transactional")
    lines.sort(key=lambda line: order.index(line["purpose"].kind))
    strengths = overview.strengths(workspace.pk)
    proved = sum(one.permissions for one in strengths.values())
    facts = {
        "lines": lines,
        "total": total,
        "strengths": [
            {
                "name": name,
                "words": words,
                "tone": tone,
                "count": strengths[name].permissions,
                "people": strengths[name].people,
            }
            for name, words, tone in STRENGTHS
        ],
        "permissions": proved,
        "unproven": strengths["none"],
        "waiting": sum(line["asked"] + line["requested"] for line in lines),
        "suppressed": suppression.count(workspace.pk),
        "reasons": [
            {"scope": SCOPES.get(scope, scope), "reason": REASONS.get(reason, reason), "count": count}
            for scope, reason, count in suppression.reasons(workspace.pk)
        ],
        "proposed": purposes.proposed(workspace),
        "new": new or {},
        "wrong": wrong or {},
        "may_edit": may(request, Role.EDITOR),
        "is_owner": may(request, Role.OWNER),
        **_ledger(request),
        **more,
    }
    return render(request, "consent/overview.html", facts, status=422 if wrong else 200)


# -- the ledger --------------------------------------------------------------------------------


def _ledger(request: MemberRequest) -> dict[str, Any]:
    head = ledger.head(request.workspace.pk)
    return {
        "head": {"no": head[0], "hash": head[1].hex()} if head else None,
        "job": tasks.last_verify(request.workspace),
        "may_edit": may(request, Role.EDITOR),
    }


@require_safe
@audience(Role.VIEWER)
def ledger_state(request: MemberRequest) -> HttpResponse:
    """The part of the page that moves while the ledger is verified; whole without htmx."""
    if request.headers.get("HX-Request"):
        return render(request, "consent/_ledger.html", _ledger(request))
    return _overview(request)


@require_POST
@audience(Role.EDITOR)
def verify_ledger(request: MemberRequest) -> HttpResponse:
    if ledger.head(request.workspace.pk) is None:
        return refuse(request, "consent", said=_("The ledger is empty: there is nothing to verify yet."))
    tasks.start_verify(request.workspace, request.member.pk)
    return see(request, "consent", anchor="ledger")


# -- purposes ----------------------------------------------------------------------------------


@require_POST
@audience(Role.EDITOR)
def new_purpose(request: MemberRequest) -> HttpResponse:
    """A purpose of one's own, or one of the usual ones that are missing."""
    if key := request.POST.get("proposed", ""):
        found = next((one for one in purposes.proposed(request.workspace) if one[0] == key), None)
        if found is None:
            return refuse(request, "consent", said=_("This purpose is there already."))
        made = purposes.add(
            request.workspace, found[0], found[1], found[2], kind=found[3], texts={"fr": found[4], "en": found[5]}
        )
        note(request.workspace, "member", "purpose.created", made, actor_id=request.member.pk, key=made.key)
        return see(request, "purpose", made.pk, said=_("The purpose is there. Read its words before you use it."))
    new = {name: " ".join(request.POST.get(name, "").split()) for name in ("label_fr", "label_en", "fr", "en")}
    new["kind"] = request.POST.get("kind", "marketing")
    wrong = {
        name: _("Write it: people will read it.") for name in ("label_fr", "label_en", "fr", "en") if not new[name]
    }
    wrong |= {name: _("Write at most 200 characters.") for name in ("label_fr", "label_en") if len(new[name]) > 200}
    if new["kind"] not in ("marketing", "transactional"):
        wrong["kind"] = _("Choose one of the two.")
    key = slug_of(new["label_en"]).replace("-", "_")[:50]
    if not wrong and Purpose.objects.filter(workspace=request.workspace, key=key).exists():
        wrong["label_en"] = _("A purpose of this name exists: choose another name.")
    if not wrong:
        try:
            made = purposes.add(
                request.workspace,
                key,
                new["label_fr"],
                new["label_en"],
                kind=new["kind"],
                texts={"fr": new["fr"], "en": new["en"]},
            )
            note(request.workspace, "member", "purpose.created", made, actor_id=request.member.pk, key=made.key)
            return see(request, "purpose", made.pk, said=_("The purpose is there. Nobody has agreed to it yet."))
        except ValueError as error:
            wrong["label_en"] = str(error)
    return _overview(request, new=new, wrong=wrong)


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.VIEWER)
def purpose(request: MemberRequest, purpose_id: int) -> HttpResponse:
    """One purpose: its words by version, who cites which, the newest answers. Editors write a new version."""
    found = Purpose.objects.filter(workspace=request.workspace, pk=purpose_id).first()
    if found is None:
        raise Http404
    if request.method != "POST":
        return _purpose(request, found)
    if not may(request, Role.EDITOR):
        return render(request, "errors/forbidden.html", {"least": Role.EDITOR}, status=403)
    if request.POST.get("act") == "rename":
        typed = {"label_fr": request.POST.get("label_fr", ""), "label_en": request.POST.get("label_en", "")}
        held = {"label_fr": found.label_fr, "label_en": found.label_en}
        if typed != held and moved(request, *held.values()):
            said = sentence(" / ".join(held.values()))
            return _purpose(request, found, typed=typed, wrong=said, status=409)
        try:
            purposes.rename(found, request.POST.get("label_fr", ""), request.POST.get("label_en", ""))
        except ValueError:
            return _purpose(request, found, typed=typed, wrong=_("Give the purpose a name in French and in English."))
        note(request.workspace, "member", "purpose.renamed", found, actor_id=request.member.pk, key=found.key)
        return see(request, "purpose", found.pk, said=_("Renamed. What people agreed to stays as it was."))
    words = {code: request.POST.get(f"text_{code}", "").strip().replace("\r\n", "\n") for code in ("fr", "en")}
    now = {code: purposes.text(found, code) for code in words}  # the partners' names are no part of what is typed
    if not all(words.values()) or any(len(text) > 1000 for text in words.values()):
        said = _("Write the words in both languages, at most 1,000 characters each.")
        return _purpose(request, found, typed=words, wrong=said)
    if request.POST.get("version") != str(now["fr"].version):
        said = _("Somebody else wrote a new version meanwhile. Yours is still here: compare, then save again.")
        return _purpose(request, found, typed=words, wrong=said, status=409)
    if all(now[code].bare == text and now[code].language == code for code, text in words.items()):
        return see(request, "purpose", found.pk, said=_("These words are in force already."))
    version = purposes.reword(found, words)
    note(request.workspace, "member", "purpose.reworded", found, actor_id=request.member.pk, version=version)
    said = _(
        "Version %(version)s is in force from now on. Earlier answers still point at the words they were given to."
    )
    return see(request, "purpose", found.pk, said=said % {"version": version})


def _purpose(
    request: MemberRequest,
    found: Purpose,
    *,
    typed: dict[str, str] | None = None,
    wrong: str = "",
    status: int = 422,
) -> HttpResponse:
    typed = typed or {}
    texts, cited = overview.texts(found), overview.citations(found)
    before = _place(request.GET.get("before", ""))
    newest = overview.latest(found, PAGE + 1, before)
    older = f"?before={newest[PAGE - 1]['block']}.{newest[PAGE - 1]['leaf']}" if len(newest) > PAGE else ""
    names = _names(request, [row["contact_id"] for row in newest[:PAGE]])
    strengths = {name: words for name, words, _tone in STRENGTHS}
    states = overview.answers(request.workspace.pk).get(found.pk, {})
    facts = {
        "purpose": found,
        "label": label(found),
        "kind": KINDS.get(found.kind, found.kind),
        "versions": _versions(texts, cited),
        "version": texts[0].version if texts else 0,
        "typed": {
            "fr": typed.get("fr", purposes.text(found, "fr").bare),
            "en": typed.get("en", purposes.text(found, "en").bare),
            "label_fr": typed.get("label_fr", found.label_fr),
            "label_en": typed.get("label_en", found.label_en),
        },
        "renaming": "label_fr" in typed,
        "wrong": wrong,
        "rows": [
            {**row, "who": names.get(row["contact_id"]), "strength": strengths[row["strength"] or "none"]}
            for row in newest[:PAGE]
        ],
        "older": older,
        "first": "?" if before else "",
        "granted": states.get("granted", 0),
        "gone": sum(states.get(state, 0) for state in ledger.REFUSALS),
        "may_edit": may(request, Role.EDITOR),
        "is_owner": may(request, Role.OWNER),
        **purpose_terms.facts_of(found),
        **partners.facts_of(found),
    }
    return render(request, "consent/purpose.html", facts, status=status if wrong else 200)


def _place(text: str) -> tuple[int, int] | None:
    found = re.fullmatch(r"(\d{1,15})\.(\d{1,9})", text, re.ASCII)
    return (int(found[1]), int(found[2])) if found else None


def _names(request: MemberRequest, ids: list[int]) -> dict[int, dict[str, Any]]:
    found = Contact.objects.filter(workspace_id=request.workspace.pk, pk__in=ids).only("id", "email", "props")
    return {one.pk: {"id": one.pk, "name": name_of(one.props) or one.email} for one in found}


def _versions(texts: list[PurposeText], cited: dict[int, int]) -> list[dict[str, Any]]:
    """Newest first; each text beside what it said before, word by word."""
    by_version: dict[int, dict[str, PurposeText]] = {}
    for text in texts:
        by_version.setdefault(text.version, {})[text.language] = text
    found = []
    for version, words in by_version.items():
        older = by_version.get(version - 1, {})
        found.append(
            {
                "version": version,
                "at": min(text.created_at for text in words.values()),
                "texts": [
                    {
                        "language": code,
                        "text": text.text,
                        "cited": cited.get(text.pk, 0),
                        "changes": diff(older[code].text, text.text) if code in older else "",
                        "sha256": bytes(text.sha256).hex(),
                    }
                    for code, text in sorted(words.items(), reverse=True)
                ],
            }
        )
    return found


def diff(before: str, after: str) -> SafeString:
    """What was taken out and put in, word by word, as HTML that also reads aloud; empty when nothing changed."""
    if before == after:
        return mark_safe("")
    old, new = re.findall(r"\s+|\S+", before), re.findall(r"\s+|\S+", after)
    parts: list[str] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.append(escape("".join(old[a:b])))
            continue
        if b > a:
            parts.append(f"<del>{escape(''.join(old[a:b]))}</del>")
        if d > c:
            parts.append(f"<ins>{escape(''.join(new[c:d]))}</ins>")
    return mark_safe("".join(parts))  # noqa: S308 - every piece is escaped above


@require_safe
@audience(Role.VIEWER)
def asked(request: MemberRequest, purpose_id: int) -> HttpResponse:
    """Who asked for a purpose by a form and has not confirmed from her mailbox: no contact of ours yet."""
    found = Purpose.objects.filter(workspace=request.workspace, pk=purpose_id).first()
    if found is None:
        raise Http404
    rows = joining.requests_for(found).select_related("form__list")
    facts = {"purpose": found, "label": label(found), "page": page_of(request, rows), "total": rows.count()}
    return render(request, "consent/asked.html", facts)


# -- suppression -------------------------------------------------------------------------------


@require_POST
@audience(Role.OWNER)
def suppressed(request: MemberRequest) -> HttpResponse:
    """What the list says of one address. By POST: an address does not belong into an address of ours."""
    typed = request.POST.get("address", "").strip()
    try:
        key = normalise(typed).key
    except AddressError:
        said = _("Write one whole address, such as name@domain.org.")
        return _overview(request, wrong={"address": said}, searched=typed)
    if request.POST.get("act") == "lift":
        return _lift(request, typed, key)
    return _overview(request, **found_entries(request, typed, key))


def found_entries(request: MemberRequest, typed: str, key: str) -> dict[str, Any]:
    """What the list says of one address, in words."""
    return {
        "searched": typed,
        "entries": [
            {
                "entry": entry,
                "scope": SCOPES.get(entry.scope, entry.scope),
                "reason": REASONS.get(entry.reason, entry.reason),
            }
            for entry in suppression.entries(request.workspace.pk, key)
        ],
        "found": True,
    }


def _lift(request: MemberRequest, typed: str, key: str) -> HttpResponse:
    why = " ".join(request.POST.get("why", "").split())[:100]
    if not why or "@" in why:
        said = _("Say why the mailbox may be written to again, without the address.")
        return _overview(request, wrong={"why": said}, why=why, **found_entries(request, typed, key))
    try:
        gone = suppression.lift_for(request.workspace.pk, key, "all", why, actor_id=request.member.pk)
    except PermissionError:
        said = _("This was the person's own act: only she can take it back, by a form of yours or her preference page.")
        return _overview(request, wrong={"why": said}, **found_entries(request, typed, key))
    if not gone:
        return refuse(request, "consent", said=_("Nothing was lifted: this address is no longer on the list."))
    return see(request, "consent", said=_("Lifted, and written into the journal with its cause."), anchor="suppression")


# -- one proof ---------------------------------------------------------------------------------


@require_safe
@audience(Role.VIEWER)
def proof(request: MemberRequest, permission_id: int) -> HttpResponse:
    """Who agreed to what, when, to which words, and that nothing was changed since: a page to print and hand over."""
    found = overview.proof(request.workspace.pk, permission_id)
    if found is None:
        raise Http404
    person = Contact.objects.filter(workspace_id=request.workspace.pk, pk=found.permission.contact_id).first()
    sent = grounds.sent_on(request.workspace.pk, permission_id, person.email) if person else []
    if request.GET.get("format") == "json":
        told = overview.as_json(found) | {
            "messages": [{"sending": one.sending_id, "no": one.no, "at": one.at.isoformat()} for one in sent]
        }
        answer = JsonResponse(told, json_dumps_params={"ensure_ascii": False, "indent": 1})
        answer["Content-Disposition"] = f'attachment; filename="proof-{permission_id}.json"'
        return answer
    evidence = found.evidence
    member = User.objects.filter(memberships__pk=evidence.member_id or 0).first() if evidence else None
    facts = {
        "proof": found,
        "permission": found.permission,
        "person": person,
        "name": name_of(person.props) if person else "",
        "sent": [(one, SENDINGS.get(one.kind, one.kind)) for one in sent[:SENT]],
        "sent_in_all": len(sent),
        "sent_most": grounds.MOST,
        "label": label(found.purpose),
        "basis": BASES.get(found.permission.basis, found.permission.basis),
        "evidence": evidence,
        "strength": {name: words for name, words, _tone in STRENGTHS}[evidence.strength if evidence else "none"],
        "member": member,
        "facts": [(_FACTS.get(key, key), _fact(value)) for key, value in sorted(evidence.facts.items())]
        if evidence
        else [],
        "signup": joining.read_proof(found.permission.proof),
        "document": bytes(evidence.document_sha256).hex() if evidence and evidence.document_sha256 else "",
        "sha256": bytes(found.text.sha256).hex() if found.text else "",
        "leaf": found.inclusion.leaf.hex(),
        "hash": found.inclusion.hash.hex(),
        "previous": found.inclusion.previous.hex(),
        "key": found.key.hex(),
        "steps": [(left, other.hex()) for left, other in found.inclusion.steps],
    }
    return render(request, "consent/proof.html", facts)
