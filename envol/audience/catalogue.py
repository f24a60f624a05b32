"""The one catalogue of fields a segment may speak of, made for a workspace.

Pages, API and SQL read the same catalogue: key, kind, labels, choices. A kind decides the operators
(:mod:`envol.audience.operators`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Q

from envol.accounts.models import Workspace
from envol.audience import reasons, stages, standings
from envol.audience.models import Rhythm, Segment, SegmentPerson, Shop, Topic
from envol.consent.models import Purpose
from envol.contacts.models import List, Property
from envol.events.models import CustomEvent

if TYPE_CHECKING:  # 30 MB that couriers, which only register here, never need
    from sqlglot import exp

GROUPS = ("profile", "lists", "consent", "orders", "activity", "interests", "events", "computed")


@dataclass(frozen=True, slots=True)
class Choice:
    value: Any
    label_fr: str
    label_en: str


@dataclass(frozen=True, slots=True)
class Field:
    """One line of the catalogue. ``key`` is what a rule names; ``inner`` what the compiler reads."""

    key: str
    kind: str
    group: str
    label_fr: str
    label_en: str
    choices: tuple[Choice, ...] = ()
    inner: str = ""
    sensitive: bool = False

    def label(self, language: str) -> str:
        return self.label_fr if language.startswith("fr") else self.label_en


_FIXED = (
    Field("email", "text", "profile", "Adresse e-mail", "E-mail address", inner="email"),
    Field("language", "text", "profile", "Langue", "Language", inner="language"),
    Field("created", "instant", "profile", "Date d’arrivée", "Date of arrival", inner="created_at"),
    Field("tag", "tags", "lists", "Étiquettes", "Tags"),
    Field("complaint", "mark", "consent", "Réclamation", "Complaint"),
    Field("orders.count", "order_count", "orders", "Nombre de commandes", "Number of orders", inner="count"),
    Field("orders.sum", "order_sum", "orders", "Total des commandes", "Total of orders", inner="sum"),
    Field("orders.average", "order_average", "orders", "Commande moyenne", "Average order", inner="average"),
    Field(
        "orders.coded", "order_share", "orders", "Part achetée avec un code", "Share bought with a code", inner="coded"
    ),
    Field("orders.first", "order_date", "orders", "Première commande", "First order", inner="min"),
    Field("orders.last", "order_date", "orders", "Dernière commande", "Last order", inner="max"),
    Field(
        "orders.stage",
        "stage",
        "orders",
        "Étape d’achat",
        "Stage of purchase",
        tuple(Choice(key, fr, en) for key, (fr, en) in stages.FUNNEL.items()),
    ),
    Field("orders.just_bought", "just_bought", "orders", "Achat tout récent", "Just bought"),
    Field("rfm.r", "score", "orders", "Note de récence, de 1 à 5", "Score of recency, 1 to 5", inner="r"),
    Field("rfm.f", "score", "orders", "Note de fréquence, de 1 à 5", "Score of frequency, 1 to 5", inner="f"),
    Field("rfm.m", "score", "orders", "Note de montant, de 1 à 5", "Score of amount, 1 to 5", inner="m"),
    Field(
        "rfm.fm",
        "score",
        "orders",
        "Note moyenne de fréquence et de montant",
        "Mean score of frequency and amount",
        inner="fm",
    ),
    Field(
        "orders.expected",
        "expected",
        "orders",
        "Achats attendus en 90 jours",
        "Purchases expected in 90 days",
        inner="purchases",
    ),
    Field(
        "orders.alive",
        "expected",
        "orders",
        "Chance d’acheter encore, en %",
        "Chance of buying again, in %",
        inner="alive",
    ),
    Field(
        "rfm.segment",
        "standing",
        "orders",
        "Segment RFM",
        "RFM segment",
        tuple(Choice(key, fr, en) for key, (fr, en) in standings.NAMED.items()),
        inner="named",
    ),
    Field(
        "tier",
        "standing",
        "orders",
        "Palier",
        "Tier",
        tuple(Choice(key, fr, en) for key, (fr, en) in standings.TIERS.items()),
        inner="tier",
    ),
    Field(
        "activity.stage",
        "stage",
        "activity",
        "Stade d’activité",
        "Stage of activity",
        tuple(Choice(key, fr, en) for key, (fr, en) in stages.LABELS.items()),
    ),
    Field(
        "inactivity.reason",
        "reason",
        "activity",
        "Raison de l’inactivité",
        "Reason for inactivity",
        tuple(Choice(key, fr, en) for key, (fr, en) in reasons.LABELS.items()),
    ),
    Field(
        "inactivity.answer",
        "answered",
        "activity",
        "Réponse à « pourquoi si peu ? »",
        "Answer to “why so little?”",
        tuple(Choice(key, fr, en) for key, (fr, en) in reasons.ANSWERS.items()),
    ),
    Field(
        "activity.habit",
        "habit",
        "activity",
        "Habitude constatée",
        "Habit that shows",
        tuple(Choice(key, fr, en) for key, (fr, en) in reasons.HABITS.items()),
    ),
    Field("activity.rhythm", "rhythm", "activity", "Son propre rythme", "One's own rhythm"),
    Field("random", "random", "computed", "Part au hasard", "Random share"),
)

PROOFS = {
    "line": ("une preuve par personne", "proof for each person"),
    "document": ("un document pour le fichier", "one document for the file"),
    "statement": ("la déclaration d’un membre", "statement of a member"),
    "legacy": ("reprise d’un ancien système", "taken over from a former system"),
    "none": ("aucune preuve", "no proof"),
}
"""How far the proof of a permission goes, as `consent.models.Strength` says it: key → French, English."""

# Kinds of mail activity read from events; opens are known only of people who agreed to be measured.
_ACTIVITY_LABELS = {
    "sent": ("Messages envoyés", "Messages sent"),
    "delivered": ("Messages remis", "Messages delivered"),
    "opened": ("Ouvertures", "Opens"),
    "clicked": ("Clics", "Clicks"),
    "replied": ("Réponses", "Replies"),
    "unsubscribed": ("Désabonnements", "Unsubscribes"),
}
FROM_EVENTS = ("opened", "clicked", "replied", "unsubscribed")

_registered: dict[str, str] = {}
_finished: list[str] = []
# The room that sends says by which name a person knows each sending: workspace id → (sending id, name).
_sendings: list[Callable[[int], list[tuple[int, str]]]] = []


def register_sendings(names: Callable[[int], list[tuple[int, str]]]) -> None:
    """Called at start by the room that names sendings, newest first."""
    _sendings.append(names)


def register_activity(kind: str, sql: str) -> None:
    """Let rules speak of ``mail.<kind>`` ("sent", "delivered"), told by ``sql``.

    ``sql`` is one SELECT without parameters giving the columns ``workspace_id``, ``contact_id``,
    ``at`` and ``sending_id``, one row for each time it happened. Called at start by the room that
    owns the tables.
    """
    if kind not in _ACTIVITY_LABELS or kind in FROM_EVENTS:
        raise ValueError(f"There is no activity {kind!r} to register; it may be sent or delivered.")
    _registered[kind] = sql


def register_finished(sql: str) -> None:
    """By the room that registers activities: a SELECT of (sending id, whether its rows never change any more).

    With the parameters ``workspace`` and ``known``, ids that are not asked about.
    """
    _finished[:] = [sql]


def finished_sendings() -> str | None:
    return _finished[0] if _finished else None


def activity_sql(kind: str) -> str | None:
    """The registered SELECT of ``kind`` as text."""
    return _registered.get(kind)


def activity_source(kind: str) -> exp.Expr | None:
    """The registered SELECT of ``kind``; None where events tell it."""
    from envol.audience.snippets import parsed  # commands that read no rule start without sqlglot

    found = _registered.get(kind)
    return parsed(found) if found is not None else None


def _choices(raw: Any) -> tuple[Choice, ...]:
    made = []
    for item in raw or ():
        if isinstance(item, dict):
            value = str(item.get("value", item.get("key", "")))
            made.append(Choice(value, str(item.get("label_fr", value)), str(item.get("label_en", value))))
        else:
            made.append(Choice(str(item), str(item), str(item)))
    return tuple(made)


@dataclass
class Catalogue:
    """Fields of one workspace, and its lists, purposes and segments by id; read once, used for one act."""

    workspace: Workspace

    @classmethod
    def of(cls, whose: Workspace | Catalogue) -> Catalogue:
        """A page that asks several things reads the catalogue once and hands it on."""
        return whose if isinstance(whose, Catalogue) else cls(whose)

    @cached_property
    def lists(self) -> dict[int, str]:
        return dict(List.objects.filter(workspace=self.workspace).order_by("name").values_list("id", "name"))

    @cached_property
    def purposes(self) -> dict[str, Purpose]:
        return {p.key: p for p in Purpose.objects.filter(workspace=self.workspace).order_by("bit")}

    @cached_property
    def segments(self) -> dict[int, Segment]:
        return {s.pk: s for s in Segment.objects.filter(workspace=self.workspace).order_by("name")}

    @cached_property
    def topics(self) -> dict[str, Topic]:
        found = Topic.objects.filter(workspace=self.workspace, removed_at=None).order_by("label_fr", "pk")
        return {topic.key: topic for topic in found}

    @cached_property
    def shops(self) -> dict[int, Shop]:
        return {one.pk: one for one in Shop.objects.filter(workspace=self.workspace).order_by("name", "pk")}

    @cached_property
    def by_hand(self) -> dict[int, tuple[int, int]]:
        """How many people members put into and left out of each segment, by its id."""
        counted = SegmentPerson.objects.filter(workspace_id=self.workspace.pk).values_list("segment_id")
        both = counted.annotate(n=Count("pk", filter=Q(inside=True)), m=Count("pk", filter=Q(inside=False)))
        return {pk: (n, m) for pk, n, m in both.order_by()}

    @cached_property
    def by_rhythm(self) -> bool:
        """Whether stages of activity follow each person's own rhythm."""
        return Rhythm.objects.filter(workspace=self.workspace, on=True).exists()

    @cached_property
    def sendings(self) -> dict[int, str]:
        return dict(one for names in _sendings for one in names(self.workspace.id))

    def bit(self, key: str) -> int:
        """Mask of a purpose; 0 (nobody) when the workspace has none of that name."""
        purpose = self.purposes.get(key)
        return 1 << purpose.bit if purpose else 0

    @cached_property
    def fields(self) -> Fields:
        return Fields(self)


class Fields(Mapping[str, Field]):
    """The fields of a catalogue by key, in the order of families.

    To look one up reads the tables of its family alone: a rule about a town asks nothing about sendings.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._read: dict[str, dict[str, Field]] = {}

    def __getitem__(self, key: str) -> Field:
        head = key.partition(".")[0] if isinstance(key, str) else ""
        return self._family(head if head in _FAMILIES else "")[key]

    def __iter__(self) -> Iterator[str]:
        for head in _FAMILIES:
            yield from self._family(head)

    def __len__(self) -> int:
        return sum(len(self._family(head)) for head in _FAMILIES)

    def _family(self, head: str) -> dict[str, Field]:
        if head not in self._read:
            self._read[head] = {field.key: field for field in _FAMILIES[head](self._catalogue)}
        return self._read[head]


def _of_properties(catalogue: Catalogue) -> Iterator[Field]:
    for p in Property.objects.filter(workspace=catalogue.workspace).order_by("id"):
        if p.type == "place":
            choices = tuple(Choice(pk, shop.name, shop.name) for pk, shop in catalogue.shops.items())
        else:
            choices = _choices(p.choices)
        labels = p.label_fr, p.label_en
        yield Field(f"prop.{p.key}", p.type, "profile", *labels, choices, inner=p.key, sensitive=p.sensitive)


def _of_lists(catalogue: Catalogue) -> Iterator[Field]:
    lists = tuple(Choice(id, name, name) for id, name in catalogue.lists.items())
    yield Field("list", "on_list", "lists", "Liste", "List", lists)


def _of_permission(catalogue: Catalogue) -> Iterator[Field]:
    purposes = catalogue.purposes.values()
    writable = tuple(Choice(p.key, p.label_fr, p.label_en) for p in purposes if p.kind != "measuring")
    yield Field("permission", "permission", "consent", "Permission d’écrire", "Permission to write", writable)


def _of_measuring(catalogue: Catalogue) -> Iterator[Field]:
    kinds = Choice("opens", "les ouvertures", "opens"), Choice("clicks", "les clics", "clicks")
    yield Field("measured", "measured", "consent", "Accord de mesure", "Agreement to be measured", kinds)


def _of_permitted(catalogue: Catalogue) -> Iterator[Field]:
    for purpose in catalogue.purposes.values():
        if purpose.kind != "transactional":
            labels = f"Date de l’accord\u202f: {purpose.label_fr}", f"Date of the permission: {purpose.label_en}"
            yield Field(f"permitted.{purpose.key}", "permitted", "consent", *labels, inner=purpose.key)


def _of_proof(catalogue: Catalogue) -> Iterator[Field]:
    named = tuple(Choice(key, fr, en) for key, (fr, en) in PROOFS.items())
    for purpose in catalogue.purposes.values():
        if purpose.kind != "transactional":
            labels = f"Preuve de l’accord\u202f: {purpose.label_fr}", f"Proof of the permission: {purpose.label_en}"
            yield Field(f"proved.{purpose.key}", "proved", "consent", *labels, named, inner=purpose.key)


def _of_mail(catalogue: Catalogue) -> Iterator[Field]:
    """The choices of an activity are the sendings that may narrow it."""
    sendings = tuple(Choice(id, name, name) for id, name in catalogue.sendings.items())
    for kind, (fr, en) in _ACTIVITY_LABELS.items():
        if kind in FROM_EVENTS or kind in _registered:
            yield Field(f"mail.{kind}", "activity", "activity", fr, en, sendings, inner=kind)


def _of_interests(catalogue: Catalogue) -> Iterator[Field]:
    if catalogue.topics:
        named = tuple(Choice(t.key, t.label_fr, t.label_en) for t in catalogue.topics.values())
        yield Field("interest", "interest", "interests", "Centres d’intérêt", "Interests", named)


def _of_events(catalogue: Catalogue) -> Iterator[Field]:
    """The choices of an event are its properties with their types."""
    for event in CustomEvent.objects.filter(workspace=catalogue.workspace, removed_at=None).order_by("key"):
        told = tuple(Choice(key, type_, type_) for key, type_ in sorted(event.properties.items()))
        labels = event.label_fr, event.label_en
        yield Field(f"event.{event.key}", "happening", "events", *labels, told, inner=str(event.pk))


def _of_reading(catalogue: Catalogue) -> Iterator[Field]:
    if "sent" in _registered:
        yield Field("reading", "reading", "activity", "Assiduité de lecture", "Share of sendings read")


def _of_segments(catalogue: Catalogue) -> Iterator[Field]:
    segments = tuple(Choice(s.pk, s.name, s.name) for s in catalogue.segments.values())
    yield Field("segment", "segment", "computed", "Segment", "Segment", segments)


# By the first word of their keys; "" are those that every workspace has.
_FAMILIES: dict[str, Callable[[Catalogue], Iterable[Field]]] = {
    "prop": _of_properties,
    "": lambda catalogue: _FIXED,
    "list": _of_lists,
    "permission": _of_permission,
    "measured": _of_measuring,
    "permitted": _of_permitted,
    "proved": _of_proof,
    "mail": _of_mail,
    "interest": _of_interests,
    "event": _of_events,
    "reading": _of_reading,
    "segment": _of_segments,
}


def fields(whose: Workspace | Catalogue) -> list[Field]:
    """Every field a rule of this workspace may name, grouped as a page shows them."""
    found = Catalogue.of(whose).fields.values()
    return sorted(found, key=lambda f: GROUPS.index(f.group))
