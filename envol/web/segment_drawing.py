"""The draft of a rule as what a template draws: groups, rules, and for each the inputs of its field and operator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as having

from babel import Locale
from babel.dates import get_month_names
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from envol.audience.catalogue import GROUPS, Catalogue, Field
from envol.audience.language import MATCHES, MAX_LEVELS, Problem
from envol.audience.models import Shop
from envol.audience.offers import CATEGORY, CURRENCY, PRODUCT, Offer, Offers
from envol.audience.operators import NARROWING, OPERATORS
from envol.contacts import places
from envol.web import segment_words as words
from envol.web.segment_form import DraftGroup, DraftRule
from envol.web.templatetags.envol import number, percent


@dataclass(frozen=True, slots=True)
class Option:
    value: str
    label: str
    note: str = ""
    chosen: bool = False


@dataclass(slots=True)
class Input:
    """``kind``: text, number, date, select, checks. ``label`` is spoken, ``before`` and ``after`` also seen."""

    kind: str
    name: str
    label: str
    value: str = ""
    options: Sequence[Option] = ()
    before: str = ""
    after: str = ""
    hint: str = ""
    size: str = ""  # short, or nothing

    def __post_init__(self) -> None:
        if self.kind == "date" and self.value and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", self.value):
            self.kind = "text"  # a browser's date field would drop what is no date

    @property
    def id(self) -> str:
        return self.name


@dataclass(slots=True)
class RuleView:
    name: str  # r.1.0
    path: str
    title: str
    fields: list[tuple[str, list[Option]]]
    field: str
    operators: list[Option]
    inputs: list[Input] = having(default_factory=list)
    narrowing: list[Input] = having(default_factory=list)
    narrowed: bool = False
    notes: list[str] = having(default_factory=list)
    problems: list[str] = having(default_factory=list)
    is_rule: bool = True
    first: bool = False
    last: bool = False

    @property
    def wide(self) -> bool:
        """Whether the value takes a line of its own."""
        return len(self.inputs) > 2 or any(i.kind == "checks" or i.before for i in self.inputs)


@dataclass(slots=True)
class GroupView:
    name: str
    path: str
    title: str
    matches: list[Option]
    items: list[RuleView | GroupView]
    deeper: bool  # whether one more level of groups fits inside
    problems: list[str] = having(default_factory=list)
    is_rule: bool = False
    first: bool = False
    last: bool = False


class Drawing:
    def __init__(self, catalogue: Catalogue, problems: Sequence[Problem] = ()) -> None:
        self.catalogue = catalogue
        self.offers = Offers(catalogue)
        self.language = get_language() or "en"
        self.locale = "fr_FR" if self.language.startswith("fr") else "en_GB"
        self.said: dict[str, list[str]] = {}
        for problem in problems:
            self.said.setdefault(problem.path, []).append(said(problem))
        self.rates = self.offers.fill_rates()

    def tree(self, draft: DraftGroup) -> GroupView:
        return self._group(draft, ())

    # --- groups and rules

    def _group(self, draft: DraftGroup, path: tuple[int, ...]) -> GroupView:
        place = ".".join(map(str, path))
        items: list[RuleView | GroupView] = []
        for n, item in enumerate(draft.items):
            below = (*path, n)
            made = self._group(item, below) if isinstance(item, DraftGroup) else self._rule(item, below)
            # Out of an inner group a rule moves on; at the edges of the whole there is nowhere to go.
            made.first, made.last = not path and n == 0, not path and n == len(draft.items) - 1
            items.append(made)
        match = draft.match if draft.match in MATCHES else "all"
        return GroupView(
            ".".join(["r", *map(str, path)]),
            place,
            _("Group %(number)s") % {"number": _numbered(path)} if path else _("The whole rule"),
            [Option(m, str(words.MATCHES[m]), "", m == match) for m in MATCHES],
            items,
            len(path) + 1 < MAX_LEVELS,
            self.said.get(place, []),
        )

    def _rule(self, draft: DraftRule, path: tuple[int, ...]) -> RuleView:
        known = self.catalogue.fields.get(draft.field)
        place = ".".join(map(str, path))
        view = RuleView(
            ".".join(["r", *map(str, path)]),
            place,
            _("Rule %(number)s") % {"number": _numbered(path)},
            self._fields(draft.field),
            draft.field,
            [],
            problems=self.said.get(place, []),
        )
        if known is None:
            return view
        numbers = any(c.label_en == "number" for c in known.choices)
        view.operators = [
            Option(op, str(words.OPERATORS[known.kind][op]), "", op == draft.op)
            for op, its in OPERATORS[known.kind].items()
            if its != "measure" or numbers or op == draft.op
        ]
        shape = OPERATORS[known.kind].get(draft.op, "none")
        view.inputs = self._value(view.name + ".v", draft, "v", known, shape)
        for key, its in NARROWING.get(known.kind, {}).items():
            view.narrowing += self._narrow(view.name, draft, known, key, its)
        view.narrowed = any(
            part[0] == "w" and any(texts) and not part.endswith(".op") for part, texts in draft.typed.items()
        )
        if known.key == "mail.opened":
            view.notes.append(_("Counted only among people who agreed to the measuring of opens."))
        if known.kind in ("date", "instant", "order_date", "permitted") and draft.op not in ("known", "unknown"):
            zone = self.catalogue.workspace.time_zone
            view.notes.append(_("Days begin at midnight in the zone %(zone)s.") % {"zone": zone})
        if known.kind == "just_bought":
            view.notes.append(_("As long as each category's delay says, or until it is paid back."))
        if known.kind == "rhythm":
            view.notes.append(
                _("Of people whose rhythm is longer than 90 days, as counted each night where stages follow it.")
            )
        if known.kind == "reason":
            view.notes.append(
                _("Of inactive, dormant and never active people: what they answered, else what can be told.")
            )
        if known.kind == "interest":
            view.notes.append(
                _("What is inferred follows reading and buying each night; what people said holds at once.")
            )
        if draft.op in ("near_shop", "nearest_shop"):
            view.notes.append(_("From the middle of the postcode, as the crow flies; shops have a page of their own."))
        if draft.op in ("department_in", "region_in"):
            view.notes.append(_("Told by the postcode of the place: whoever has none is left out."))
        if draft.op == "founder":
            view.notes.append(
                _("Among the first 5 % who ever joined, or within 30 days of the first; still on the list.")
            )
        if known.kind == "reading":
            view.notes.append(
                _(
                    "Clicks by people in the last 10 sendings of each, known from 6 on."
                    " Assiduous readers: half of them or more."
                )
            )
        if known.kind == "mark":
            view.notes.append(
                _("While a complaint is open no marketing leaves for this person, whatever the rule says.")
            )
        if known.kind in ("score", "standing", "expected"):
            view.notes.append(_("As of the last computation, each night; people who never bought have none."))
        return view

    def _fields(self, chosen: str) -> list[tuple[str, list[Option]]]:
        grouped: dict[str, list[Option]] = {name: [] for name in GROUPS}
        for one in self.catalogue.fields.values():
            note = str(words.KINDS[one.kind])
            if one.key in self.rates:
                note = _("%(kind)s, filled for %(share)s") % {"kind": note, "share": percent(self.rates[one.key], 1)}
            elif one.key == "mail.opened":
                note = _("%(kind)s, among people who agreed") % {"kind": note}
            grouped[one.group].append(Option(one.key, one.label(self.language), note, one.key == chosen))
        made = [(str(words.GROUPS[name]), options) for name, options in grouped.items() if options]
        if chosen and chosen not in self.catalogue.fields:
            made.insert(0, (_("Gone"), [Option(chosen, chosen, _("this field does not exist any more"), True)]))
        return made

    # --- values

    def _value(self, name: str, draft: DraftRule, part: str, known: Field, shape: str) -> list[Input]:
        label = _("Value")
        after = str(words.AFTER.get(draft.op, words.AFTER.get(shape, "")))
        text = draft.text(part)
        match shape:
            case "none":
                return []
            case "text":
                offered = self._options(self.offers.values(known.key), [])
                return [Input("text", name, label, text, offered)]
            case "texts" | "choices" | "countries" | "departments" | "regions" | "shops":
                return [self._checks(name, label, draft.typed.get(part, []), known, shape, draft.op)]
            case "choice":
                if known.choices:
                    return [self._select(name, label, text, self._choices(known))]
                return [Input("text", name, label, text, self._options(self.offers.values(known.key), []))]
            case "id":
                return [self._select(name, label, text, self._choices(known))]
            case "boolean":
                yes_no = [Option("true", _("yes")), Option("false", _("no"))]
                return [self._select(name, label, text or "true", yes_no, blank=False)]
            case "date":
                return [Input("date", name, _("Day"), text)]
            case "dates":
                return self._pair(name, draft, part, "date", "")
            case "numbers" | "wholes":
                return self._pair(name, draft, part, "number", "")
            case "ages":
                return self._pair(name, draft, part, "number", _("years"))
            case "cents_pair":
                return self._pair(name, draft, part, "number", self._unit(draft))
            case "cents":
                return [Input("number", name, _("Amount"), text, after=self._unit(draft))]
            case "year_days":
                return self._year_days(name, draft, part)
            case "near":
                return self._near(name, draft, part, known)
            case "measure":
                return self._measure(name, draft, part, known)
            case "id_days":
                return [
                    self._select(f"{name}.list", _("List"), draft.text(f"{part}.list"), self._choices(known)),
                    Input(
                        "number",
                        f"{name}.days",
                        _("Number of days"),
                        draft.text(f"{part}.days"),
                        before=_("in the last"),
                        after=_("days"),
                    ),
                ]
            case "id_years":
                years = draft.text(f"{part}.years")
                return [
                    self._select(f"{name}.list", _("List"), draft.text(f"{part}.list"), self._choices(known)),
                    Input("text", f"{name}.years", _("Years"), years, before=_("of"), after=_("years"), size="short"),
                    Input(
                        "number",
                        f"{name}.days",
                        _("Number of days"),
                        draft.text(f"{part}.days"),
                        before=_("give or take"),
                        after=_("days of difference"),
                    ),
                ]
            case "share":
                return [
                    Input("number", f"{name}.percent", _("Share"), draft.text(f"{part}.percent"), after="%"),
                    Input(
                        "text",
                        f"{name}.seed",
                        _("Name of the draw"),
                        draft.text(f"{part}.seed"),
                        before=_("draw"),
                        hint=_("Another name draws other people."),
                    ),
                ]
        spoken = _("Number of days") if shape in ("days", "spread") else _("Number")
        return [Input("number", name, spoken, text, after=after)]

    def _unit(self, draft: DraftRule) -> str:
        currency = draft.text("w.currency").strip().upper()
        return "€" if currency in ("", "EUR") else currency

    def _pair(self, name: str, draft: DraftRule, part: str, kind: str, after: str) -> list[Input]:
        return [
            Input(kind, f"{name}.low", _("From"), draft.text(f"{part}.low"), after=after),
            Input(kind, f"{name}.high", _("To"), draft.text(f"{part}.high"), before=_("and"), after=after),
        ]

    def _select(self, name: str, label: str, chosen: str, options: list[Option], *, blank: bool = True) -> Input:
        made = [Option(o.value, o.label, o.note, o.value == chosen) for o in options]
        if chosen and all(not o.chosen for o in made):
            made.insert(0, Option(chosen, chosen, _("does not exist any more"), True))
        if blank:
            made.insert(0, Option("", _("Choose…"), "", not chosen))
        return Input("select", name, label, chosen, made)

    def _choices(self, known: Field) -> list[Option]:
        french = self.language.startswith("fr")
        counts: dict[str, Offer] = {}
        if known.key.startswith("prop."):
            counts = {offer.value: offer for offer in self.offers.values(known.key)}
        return [
            Option(str(c.value), c.label_fr if french else c.label_en, _people(counts.get(str(c.value))))
            for c in known.choices
        ]

    def _options(self, offers: Sequence[Offer], chosen: Sequence[str]) -> list[Option]:
        return [Option(o.value, o.value, _people(o), o.value in chosen) for o in offers]

    def _checks(self, name: str, label: str, chosen: list[str], known: Field, shape: str, op: str) -> Input:
        if shape in ("departments", "regions"):
            return self._zones(name, label, chosen, known, shape)
        if shape == "shops":
            shops = [Option(str(pk), shop.name, shop.town, str(pk) in chosen) for pk, shop in self._shops()]
            return self._ticked(name, label, chosen, shops, "")
        if shape == "choices" and known.choices:
            options = [Option(o.value, o.label, o.note, o.value in chosen) for o in self._choices(known)]
            more = ""
        elif shape == "countries":
            territories = Locale.parse(self.locale).territories
            found = self.offers.values(known.key)
            options = [Option(o.value, territories.get(o.value, o.value), _people(o), o.value in chosen) for o in found]
            more = _("Add countries, by name or two letters")
        elif op == "called":
            options, more = (
                self._options(self.offers.place_names(known.key), chosen),
                _("Add places, separated by commas"),
            )
        elif known.kind == "just_bought":
            options = self._options(self.offers.values(PRODUCT if op.endswith("product") else CATEGORY), chosen)
            more = _("Add others, separated by commas")
        elif known.kind == "place":
            options, more = [], _("Add beginnings of postcodes, separated by commas")
        else:
            options = self._options(self.offers.values(known.key), chosen)
            more = _("Add values, separated by commas")
        return self._ticked(name, label, chosen, options, more)

    def _shops(self) -> list[tuple[int, Shop]]:
        return list(self.catalogue.shops.items())

    def _zones(self, name: str, label: str, chosen: list[str], known: Field, shape: str) -> Input:
        """Departments or regions where people live, the most frequent first; any other can be written."""
        find, called = (
            (places.find_department, places.department)
            if shape == "departments"
            else (places.find_region, places.region)
        )
        codes = list(dict.fromkeys(find(one) or one for one in chosen))
        people: dict[str, int] = {}
        about = False
        for offer in self.offers.postcodes(known.key):
            code = places.department_of(offer.value)
            code = code if shape == "departments" else places.region_of(code)
            about = about or offer.about
            if code:
                people[code] = people.get(code, 0) + offer.people
        first = sorted(people.items(), key=lambda one: -one[1])[:12]
        offered = [Option(c, called(c), _people(Offer(c, n, about)), c in codes) for c, n in first]
        added = [Option(c, called(c) or c, "", True) for c in codes if c not in dict(first)]
        more = (
            _("Add departments by name or number, separated by commas")
            if shape == "departments"
            else _("Add regions by name, separated by commas")
        )
        return Input("checks", name, label, "", [*added, *offered], hint=more)

    def _ticked(self, name: str, label: str, chosen: list[str], options: list[Option], more: str) -> Input:
        """Boxes of what is chosen and what is offered; below, a place to add others."""
        offered = {o.value for o in options}
        added = [Option(one, one, "", True) for one in dict.fromkeys(chosen) if one not in offered and one.strip()]
        return Input("checks", name, label, "", [*added, *options], hint=more)

    def _year_days(self, name: str, draft: DraftRule, part: str) -> list[Input]:
        months = get_month_names("wide", locale=self.locale)
        made = []
        for end, spoken_day, spoken_month in (
            ("low", _("First day"), _("Month of the first day")),
            ("high", _("Last day"), _("Month of the last day")),
        ):
            day, month = draft.text(f"{part}.{end}.day"), draft.text(f"{part}.{end}.month")
            before = _("and") if end == "high" else ""
            days = [Option(f"{n:02d}", str(n)) for n in range(1, 32)]
            first = self._select(f"{name}.{end}.day", spoken_day, day, days)
            first.before = before
            made.append(first)
            all_months = [Option(f"{n:02d}", str(months[n])) for n in range(1, 13)]
            made.append(self._select(f"{name}.{end}.month", spoken_month, month, all_months))
        return made

    def _near(self, name: str, draft: DraftRule, part: str, known: Field) -> list[Input]:
        offered = self._options(self.offers.places(known.key), [])
        km, label, found, lat, lon = (draft.text(f"{part}.{key}") for key in ("km", "label", "found", "lat", "lon"))
        # Coordinates are shown where a name alone does not say them: of an unknown place, or without a name.
        known_spot = bool(label) == bool(lat)
        kind = "hidden" if known_spot else "number"
        return [
            Input("number", f"{name}.km", _("Distance in kilometres"), km, before=_("at most"), after=_("km from")),
            Input("text", f"{name}.label", _("Place"), label, offered),
            Input("hidden", f"{name}.found", "", found),
            Input(kind, f"{name}.lat", _("Latitude"), lat, before=_("latitude")),
            Input(kind, f"{name}.lon", _("Longitude"), lon, before=_("longitude")),
        ]

    # --- narrowing

    def _narrow(self, rule: str, draft: DraftRule, known: Field, key: str, shape: str) -> list[Input]:
        part = f"w.{key}"
        name = f"{rule}.{part}"
        label = str(words.NARROW[key])
        if key == "sending":
            chosen = self._select(name, label, draft.text(part), self._choices(known))
            chosen.before = label
            return [chosen]
        if shape == "origin":
            offered = [Option(key, str(said)) for key, said in words.ORIGINS.items()]
            which = self._select(name, label, draft.text(part), offered)
            which.before = label
            return [which]
        if shape == "strength":
            return [Input("number", name, label, draft.text(part), before=label, after="%")]
        if shape == "fact":
            return self._fact(name, label, draft, part, known)
        if shape == "texts":
            offers = self.offers.values(CATEGORY if key == "category" else PRODUCT)
            typed = draft.typed.get(part, [])
            made = self._ticked(name, label, typed, self._options(offers, typed), _("Add others, separated by commas"))
            made.before = label
            return [made]
        if key == "within_days":
            return [
                Input("number", name, _("Number of days"), draft.text(part), before=_("in the last"), after=_("days"))
            ]
        if key == "currency":
            offers = self.offers.values(CURRENCY)
            return [Input("text", name, label, draft.text(part), self._options(offers, []), before=label, size="short")]
        return [Input("date", name, label, draft.text(part), before=label)]

    def _fact(self, name: str, label: str, draft: DraftRule, part: str, known: Field) -> list[Input]:
        """A property of an event, how it is compared, with what; nothing where the event has none."""
        if not known.choices:
            return []
        types = {str(c.value): c.label_en for c in known.choices}
        chosen = draft.text(f"{part}.name")
        offered = [Option(key, key, str(words.FACT_TYPES[type_])) for key, type_ in types.items()]
        which = self._select(f"{name}.name", label, chosen, offered)
        which.before = label
        if chosen not in types:
            return [which]
        allowed = words.FACT_TYPE_OPS[types[chosen]]
        ops = [
            Option(op, str(words.OPERATORS["number" if types[chosen] == "number" else "text"][op])) for op in allowed
        ]
        how = self._select(f"{name}.op", _("How it is compared"), draft.text(f"{part}.op") or "is", ops, blank=False)
        if types[chosen] == "boolean":
            yes_no = [Option("true", _("yes")), Option("false", _("no"))]
            return [which, how, self._select(f"{name}.value", _("Value"), draft.text(f"{part}.value"), yes_no)]
        kind = "number" if types[chosen] == "number" else "text"
        return [which, how, Input(kind, f"{name}.value", _("Value"), draft.text(f"{part}.value"))]

    def _measure(self, name: str, draft: DraftRule, part: str, known: Field) -> list[Input]:
        """A number that is told with an event, and with what its sum or another figure is compared."""
        offered = [Option(str(c.value), str(c.value)) for c in known.choices if c.label_en == "number"]
        ops = [Option(op, str(words.OPERATORS["number"][op])) for op in words.FACT_TYPE_OPS["number"]]
        return [
            self._select(f"{name}.name", _("Which number"), draft.text(f"{part}.name"), offered),
            self._select(f"{name}.op", _("How it is compared"), draft.text(f"{part}.op") or "gte", ops, blank=False),
            Input("number", f"{name}.value", _("Value"), draft.text(f"{part}.value")),
        ]


def said(problem: Problem) -> str:
    """The sentence of a problem, with what narrows a rule called as the page calls it."""
    key, colon, rest = problem.sentence.partition(": ")
    return f"{words.NARROW[key]}: {rest}" if colon and key in words.NARROW else problem.sentence


def _numbered(path: Sequence[int]) -> str:
    return ".".join(str(n + 1) for n in path)


def _people(offer: Offer | None) -> str:
    """How many people have a value; marked when it is estimated."""
    if offer is None:
        return ""
    return f"≈ {number(rounded(offer.people))}" if offer.about else number(offer.people)


def rounded(n: int) -> int:
    """An estimate says two figures, not more than it knows."""
    return n if n < 100 else round(n, 2 - len(str(n)))
