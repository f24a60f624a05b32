"""The catalogue as people keep it: which properties are filled, what uses them, what may be changed or removed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.core.cache import cache
from django.db import transaction
from django.utils.translation import gettext as _

from envol.accounts import undo as undos
from envol.accounts.journal import note
from envol.accounts.models import Undo, Workspace
from envol.consent import purposes as purpose_service
from envol.consent import reuse
from envol.consent.models import Purpose
from envol.contacts import catalogue, counting
from envol.contacts.models import Property, PropertyHistory
from envol.db import rows, value
from envol.letters import ascii_of

UNDO = "contacts.property_deleted"
COUNTED, SAMPLE = 100_000, 20_000
ESTIMATED_SECONDS = 300
_ROWS = "SELECT reltuples FROM pg_class WHERE oid = 'contacts_contact'::regclass"


class FieldProblem(ValueError):
    """A property that cannot be so; the sentence says what to do."""


class Weighed(FieldProblem):
    """People gave these values for other purposes: whether this one may use them is weighed first (GDPR art. 6(4)).

    ``source``: a purpose they serve now; ``target``: the one they shall serve."""

    def __init__(self, sentence: str, source: Purpose, target: Purpose) -> None:
        super().__init__(sentence)
        self.source, self.target = source, target


class Use(NamedTuple):
    """Something built on a property: ``kind`` is segment, template, form…; ``pk`` its id there."""

    kind: str
    name: str
    pk: int


Users = Callable[[Workspace, Sequence[str]], dict[str, list[Use]]]
_users: list[Users] = []


def register_use(users: Users) -> Users:
    """Called at start by a room whose things name properties: ``(workspace, keys)`` → uses by key."""
    _users.append(users)
    return users


@dataclass(frozen=True, slots=True)
class Line:
    """``filled`` people have a value now: about so many where the base is large."""

    property: Property
    filled: int
    uses: list[Use]


class Overview(NamedTuple):
    total: int
    estimated: bool
    lines: list[Line]


def overview(workspace: Workspace) -> Overview:
    """Number of contacts, and every property with how many have it and what uses it."""
    known = catalogue.of(workspace)
    total = counting.known(workspace.pk).people
    estimate = f"contacts.filled:{workspace.pk}"  # about so many: it need not be made anew for each who looks
    filled = (cache.get(estimate) if total > COUNTED else None) or _filled(workspace, total)
    if total > COUNTED:
        cache.set(estimate, filled, ESTIMATED_SECONDS)
    uses = uses_of(workspace, list(known))
    lines = [Line(one, filled.get(key, 0), uses.get(key, [])) for key, one in known.items()]
    return Overview(total, total > COUNTED, sorted(lines, key=lambda line: line.property.pk))


def _filled(workspace: Workspace, total: int) -> dict[str, int]:
    """How many have each property. Opening every document of a million takes seconds, so a large base is
    asked by a sample of its pages, which is right to about one in a hundred.
    """
    if total <= COUNTED:
        return _met(workspace, 100.0)[1]
    # Of a table shared with larger workspaces, or larger once, a share holds few of ours: then a larger share is asked.
    share = max(100.0 * SAMPLE / max(int(value(_ROWS) or 0), total), 0.01)
    met, found = _met(workspace, share)
    while met < SAMPLE // 2 and share < 100:
        share *= 8
        met, found = _met(workspace, share)
    return {key: round(n * total / met) for key, n in found.items()} if met else {}


def _met(workspace: Workspace, share: float) -> tuple[int, dict[str, int]]:
    """People of the workspace in so many percent of the table's pages, and how many of them have each property."""
    sample = "" if share >= 100 else "TABLESAMPLE SYSTEM (%(share)s) REPEATABLE (1)"
    met, found = 0, {}
    for key, n in rows(
        f"SELECT k.key, count(*) FROM contacts_contact c {sample} CROSS JOIN LATERAL (SELECT NULL AS key UNION ALL"
        " SELECT jsonb_object_keys(c.props)) AS k WHERE c.workspace_id = %(w)s GROUP BY k.key",
        {"w": workspace.id, "share": share},
    ):
        if key is None:
            met = n
        else:
            found[key] = n
    return met, found


def uses_of(workspace: Workspace, keys: Sequence[str]) -> dict[str, list[Use]]:
    found: dict[str, list[Use]] = {key: [] for key in keys}
    for users in _users:
        for key, uses in users(workspace, keys).items():
            found.setdefault(key, []).extend(uses)
    return found


class Loss(NamedTuple):
    """What deleting a property would take away."""

    filled: int
    earlier: int
    uses: list[Use]


def loss(property: Property) -> Loss:
    workspace = property.workspace
    filled = value(
        "SELECT count(*) FROM contacts_contact WHERE workspace_id = %s AND props ? %s", [workspace.id, property.key]
    )
    earlier = PropertyHistory.objects.filter(workspace_id=workspace.id, key=property.key).count()
    return Loss(int(filled), earlier, uses_of(workspace, [property.key])[property.key])


def key_of(workspace: Workspace, label: str) -> str:
    """A key for a new property, from its label: small letters, digits and _, taken by nobody."""
    base = re.sub(r"[^a-z0-9]+", "_", ascii_of(label).lower()).strip("_")[:50] or "property"
    base = base if base[0].isalpha() else f"p_{base}"
    known = set(catalogue.of(workspace)) | catalogue.RESERVED
    key, n = base, 2
    while key in known:
        key, n = f"{base}_{n}", n + 1
    return key


def add(
    workspace: Workspace,
    type: str,
    label_fr: str,
    label_en: str,
    *,
    choices: Sequence[str] = (),
    purposes: Sequence[str] = (),
    personal: bool = True,
    sensitive: bool = False,
    actor_id: int | None = None,
) -> Property:
    """A new property under a key made from its label. Raises FieldProblem."""
    label_fr, label_en = label_fr.strip() or label_en.strip(), label_en.strip() or label_fr.strip()
    if not label_fr:
        raise FieldProblem(_("Give the property a name."))
    with transaction.atomic():
        Workspace.objects.select_for_update().only("id").get(pk=workspace.pk)  # two of one name: one key each
        for one in catalogue.of(workspace).values():
            if label_fr.casefold() == one.label_fr.casefold() or label_en.casefold() == one.label_en.casefold():
                raise FieldProblem(_("There is already a property called “%(name)s”.") % {"name": label_fr})
        try:
            made = catalogue.declare(
                workspace,
                key_of(workspace, label_en),
                type,
                label_fr,
                label_en,
                choices=choices,
                purposes=_mask(workspace, purposes),
                personal=personal,
                sensitive=sensitive,
            )
        except ValueError as error:
            raise FieldProblem(str(error)) from None
        note(workspace, "member", "property.added", made, actor_id=actor_id)
    return made


def change(
    property: Property,
    *,
    label_fr: str,
    label_en: str,
    choices: Sequence[str] | None = None,
    purposes: Sequence[str],
    personal: bool,
    sensitive: bool,
    actor_id: int | None = None,
) -> Property:
    """Labels, choices, purposes and flags; key and type stay, since values are kept under and in them.

    Raises FieldProblem; `Weighed` where values that people have would serve a purpose they were not given for."""
    mask = _mask(property.workspace, purposes)
    refuse_another_purpose(property, mask)
    kept = {choice["value"]: choice for choice in property.choices}
    wanted = property.choices if choices is None else [kept.get(name, name) for name in choices]
    if choices is not None and (gone := [name for name in kept if name not in choices]):
        used = value(
            "SELECT count(*) FROM contacts_contact WHERE workspace_id = %(w)s"
            " AND (props ->> %(key)s = ANY(%(gone)s) OR (jsonb_typeof(props -> %(key)s) = 'array'"
            " AND props -> %(key)s ?| %(gone)s))",
            {"w": property.workspace.pk, "key": property.key, "gone": gone},
        )
        if used:
            raise FieldProblem(
                _("People still have a choice that you took away (%(choices)s): change those values first.")
                % {"choices": ", ".join(gone[:10])}
            )
    if sensitive and not property.sensitive:
        used_by = [
            use.name for use in uses_of(property.workspace, [property.key])[property.key] if use.kind == "segment"
        ]
        if used_by:
            raise FieldProblem(
                _("What is sensitive is sealed, and no rule can ask for it: take it out of %(segments)s first.")
                % {"segments": ", ".join(used_by[:10])}
            )
    try:
        changed = catalogue.declare(
            property.workspace,
            property.key,
            property.type,
            label_fr,
            label_en,
            choices=wanted,
            purposes=mask,
            personal=personal,
            sensitive=sensitive,
            inferred=property.inferred,
        )
    except ValueError as error:
        raise FieldProblem(str(error)) from None
    note(property.workspace, "member", "property.changed", changed, actor_id=actor_id)
    return changed


def refuse_another_purpose(property: Property, mask: int) -> None:
    """Values that people have serve what they were given for, and what a weighing found compatible (GDPR art. 6(4)).

    ``mask``: what they would serve. Raises `Weighed`, or FieldProblem where that is nothing at all."""
    if property.purposes == 0 or (not mask & ~property.purposes and mask):
        return  # nobody said yet what they are for; or nothing is added
    if not value(
        "SELECT EXISTS (SELECT FROM contacts_contact WHERE workspace_id = %s AND props ? %s)",
        [property.workspace.pk, property.key],
    ):
        return
    if not mask:  # else whoever takes all away could begin anew with any purpose
        raise FieldProblem(_("People have it, so it serves at least one purpose. If it serves none, empty it first."))
    known = list(Purpose.objects.filter(workspace=property.workspace).order_by("bit"))
    source = next(one for one in known if property.purposes >> one.bit & 1)
    for target in known:
        if mask & ~property.purposes & 1 << target.bit and not reuse.compatible(property.pk, target):
            raise Weighed(
                _("People gave these values for another purpose: weigh first whether “%(name)s” may use them.")
                % {"name": reuse.label_of(target)},
                source,
                target,
            )


def serve(property: Property, purpose: Purpose, *, actor_id: int | None = None) -> None:
    """Its values serve one more purpose (`envol.consent.reuse`)."""
    with transaction.atomic():
        held = Property.objects.select_for_update().get(pk=property.pk)
        Property.objects.filter(pk=held.pk).update(purposes=held.purposes | 1 << purpose.bit)
        note(held.workspace, "member", "property.changed", held, actor_id=actor_id, serves=purpose.key)


def _mask(workspace: Workspace, keys: Sequence[str]) -> int:
    return purpose_service.mask(workspace, *keys) if keys else 0


def delete(property: Property, *, actor_id: int | None = None) -> Undo:
    """Remove a property that nobody has and nothing uses. Values are taken away first, which can be undone."""
    with transaction.atomic():
        Property.objects.select_for_update().get(pk=property.pk)
        lost = loss(property)
        if lost.uses:
            raise FieldProblem(
                _("“%(name)s” is used by %(users)s; change those first.")
                % {"name": property.key, "users": ", ".join(use.name for use in lost.uses[:10])}
            )
        if lost.filled:
            raise FieldProblem(
                _("People still have this property: empty it first (that can be undone), or merge it with another.")
            )
        entry = note(property.workspace, "member", "property.deleted", property, actor_id=actor_id, key=property.key)
        offered = undos.offer(entry, UNDO, catalogue.declaration(property))
        property.delete()
    return offered


def restore(workspace: Workspace, declared: dict[str, object], *, actor_id: int | None = None) -> Property:
    """Declare a deleted property again, as it was."""
    again = catalogue.declare(workspace, **declared)  # type: ignore[arg-type]
    note(workspace, "member", "property.added", again, actor_id=actor_id)
    return again


@dataclass(frozen=True, slots=True)
class Proposal:
    """A property that a member may take over as it is. ``choices``: value, French, English; ``group``: see GROUPS."""

    key: str
    type: str
    label_fr: str
    label_en: str
    group: str
    choices: tuple[tuple[str, str, str], ...] = ()
    serves: tuple[str, ...] = ()


GROUPS = ("usual", "person", "household", "business")
_AGES = ("18-24", "25-34", "35-49", "50-64")
PROPOSED = (
    Proposal("company", "text", "Société", "Company", "usual"),
    Proposal("postcode", "text", "Code postal", "Postcode", "usual"),
    Proposal("phone", "text", "Téléphone", "Phone", "usual"),
    Proposal("customer_since", "date", "Client depuis", "Customer since", "usual"),
    Proposal("loyalty_card", "boolean", "Carte de fidélité", "Loyalty card", "usual"),
    Proposal("interests", "list", "Centres d’intérêt", "Interests", "usual"),
    # A band where the day is not needed (GDPR art. 5(1)(c)).
    Proposal(
        "age_band", "choice", "Tranche d’âge", "Age band", "person",
        (
            ("under-18", "moins de 18 ans", "under 18"),
            *((band, f"{band.replace('-', ' à ')} ans", band.replace("-", " to ")) for band in _AGES),
            ("65-plus", "65 ans et plus", "65 and over"),
        ),
        ("personalisation",),
    ),
    # Asked of who wants to say, guessed of nobody (CJEU C-394/23).
    Proposal(
        "gender", "choice", "Genre", "Gender", "person",
        (
            ("woman", "femme", "woman"), ("man", "homme", "man"), ("other", "autre réponse", "another answer"),
            ("undisclosed", "ne souhaite pas répondre", "prefers not to say"),
        ),
        ("personalisation",),
    ),
    Proposal(
        "family_situation", "choice", "Situation familiale", "Family situation", "household",
        (
            ("alone", "vit seul ou seule", "lives alone"), ("couple", "en couple", "in a couple"),
            ("family", "en famille avec enfants", "family with children"), ("shared", "en colocation", "shares a home"),
            ("undisclosed", "ne souhaite pas répondre", "prefers not to say"),
        ),
        ("personalisation",),
    ),
    Proposal(
        "household_size", "choice", "Taille du foyer", "Household size", "household",
        (
            ("1", "1 personne", "1 person"), ("2", "2 personnes", "2 people"), ("3", "3 personnes", "3 people"),
            ("4", "4 personnes", "4 people"), ("5-plus", "5 personnes et plus", "5 people or more"),
        ),
        ("personalisation",),
    ),
    # Bands and never names: a child is not a contact.
    Proposal(
        "children_ages", "list", "Âge des enfants", "Children's ages", "household",
        (
            ("0-2", "0 à 2 ans", "0 to 2"), ("3-6", "3 à 6 ans", "3 to 6"), ("7-10", "7 à 10 ans", "7 to 10"),
            ("11-14", "11 à 14 ans", "11 to 14"), ("15-17", "15 à 17 ans", "15 to 17"),
        ),
        ("personalisation",),
    ),
    Proposal("job_role", "text", "Fonction", "Role", "business", (), ("personalisation",)),
    Proposal("activity_code", "text", "Code d’activité (NAF ou NACE)", "Activity code (NAF or NACE)", "business"),
    Proposal("company_number", "text", "SIRET ou numéro de TVA", "Company or VAT number", "business"),
    # The bands of INSEE, which are those of Eurostat with one more at either end.
    Proposal(
        "company_size", "choice", "Effectif de l’entreprise", "Size of the company", "business",
        (
            ("0", "sans salarié", "nobody employed"), ("1-9", "1 à 9 personnes", "1 to 9 people"),
            ("10-49", "10 à 49 personnes", "10 to 49 people"), ("50-249", "50 à 249 personnes", "50 to 249 people"),
            ("250-4999", "250 à 4\u202f999 personnes", "250 to 4,999 people"),
            ("5000-plus", "5\u202f000 personnes et plus", "5,000 people or more"),
        ),
    ),
)  # fmt: skip
"""What organisations add next; nothing of it is there before a member asks for it."""


def proposed(workspace: Workspace) -> list[Proposal]:
    """The proposals this workspace does not have yet."""
    known = catalogue.of(workspace)
    labels = {label.casefold() for one in known.values() for label in (one.label_fr, one.label_en)}
    return [
        one
        for one in PROPOSED
        if one.key not in known and not {one.label_fr.casefold(), one.label_en.casefold()} & labels
    ]


def adopt(workspace: Workspace, key: str, *, actor_id: int | None = None) -> Property:
    """Take a proposal over: its key, its choices in both languages, what it may serve. Raises FieldProblem."""
    one = next((one for one in proposed(workspace) if one.key == key), None)
    if one is None:
        raise FieldProblem(_("This field is in the catalogue already."))
    known = set(Purpose.objects.filter(workspace=workspace).values_list("key", flat=True))
    with transaction.atomic():
        made = catalogue.declare(
            workspace,
            one.key,
            one.type,
            one.label_fr,
            one.label_en,
            choices=[{"value": value, "label_fr": fr, "label_en": en} for value, fr, en in one.choices],
            purposes=_mask(workspace, [serves for serves in one.serves if serves in known]),
        )
        note(workspace, "member", "property.added", made, actor_id=actor_id)
    return made
