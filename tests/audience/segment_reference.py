"""The segment language evaluated plainly, one person and one rule at a time, from the JSON.

Written from the meaning of the language and not from its compiler: it shares no code with it but
the catalogue of fields.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from envol.contacts import places
from tests.audience.segment_people import Human

BOUGHT = {"not_of_category": "of_category", "not_of_product": "of_product", "nothing": "anything"}
EVENT_KINDS = {"opened": 5, "clicked": 6, "replied": 12, "unsubscribed": 8}


class Reference:
    def __init__(
        self,
        now: datetime,
        zone: str,
        kinds: dict[str, str],
        bits: dict[str, int],
        segments: dict[int, dict[str, Any]],
        transactional: set[str],
        delays: dict[str, int] | None = None,
        humans: Sequence[Human] = (),
        shops: dict[int, tuple[float, float]] | None = None,
        hands: dict[int, dict[int, bool]] | None = None,
    ) -> None:
        self.now, self.humans, self.shops, self.hands = now, humans, shops or {}, hands or {}
        self.delays = delays or {}
        self.zone = ZoneInfo(zone)
        self.today = now.astimezone(self.zone).date()
        self.kinds = kinds
        self.bits = bits
        self.segments = segments
        self.transactional = transactional

    def holds(self, tree: dict[str, Any], human: Human) -> bool:
        if (hand := self.hands.get(tree.get("people", 0), {}).get(human.id)) is not None:
            return hand
        if "rules" in tree:
            found = [self.holds(item, human) for item in tree["rules"]]
            if not found:
                return True
            return {"all": all(found), "any": any(found), "none": not any(found)}[tree["match"]]
        op, field, value, where = tree["op"], tree["field"], tree.get("value"), tree.get("where", {})
        if field.startswith("event."):
            return self.happened(field[6:], op, value, where, human)
        if field.startswith("mail."):
            return self.activity(field[5:], op, value, where, human)
        if op in {
            "is_not",
            "not_in",
            "not_contains",
            "has_none",
            "not_on",
            "may_not_write",
            "unknown",
            "not_open",
            "beyond",
        } | set(BOUGHT):
            twin = {
                "is_not": "is",
                "not_in": "in",
                "not_contains": "contains",
                "has_none": "has_any",
                "not_on": "on",
                "may_not_write": "may_write",
                "unknown": "known",
                "not_open": "open",
                "beyond": "within",
                **BOUGHT,
            }
            return not self.holds({**tree, "op": twin[op]}, human)
        if field in ("orders.expected", "orders.alive"):
            if human.expected is None or human.unprofiled:
                return False
            return op == "known" or self.compared(op, Decimal(human.expected[field == "orders.alive"]), value)
        if field == "inactivity.answer":
            return human.reason is not None and (op == "known" or human.reason in value)
        if field == "inactivity.reason":
            told = self.reason(human, where.get("origin", ""))
            return told is not None and (op == "known" or told in value)
        if field == "activity.habit":
            return not human.unprofiled and bool(set(human.habits) & set(value))
        if field == "activity.rhythm":
            return self.rhythm(value, human)
        if field == "interest":
            return self.cares(op, value, where, human)
        if field == "complaint":
            return human.silenced
        if field == "reading":
            return self.reading(op, value, human)
        if field == "orders.just_bought":
            return self.just_bought(op, value, human)
        if field == "tier" or field.startswith("rfm."):
            return self.standing(field, op, value, human)
        if field == "orders.stage":
            return self.funnel(human) in value
        if field.startswith("orders."):
            return self.orders(field[7:], op, value, where, human)
        if field == "list":
            return self.on_list(op, value, human)
        if field == "tag":
            return (any if op == "has_any" else all)(t in human.tags for t in value)
        if field == "permission":
            return self.may_write(value, human)
        if field == "measured" and op == "unasked":
            return not (human.allowed | human.refused) >> self.bits[f"measure_{value}"] & 1
        if field.startswith("permitted."):
            given = human.permitted.get(field[10:])
            return given is not None and self.dated(op, value, given.astimezone(self.zone).date())
        if field.startswith("proved."):
            return human.proved.get(field[7:]) in value
        if field == "measured":
            return bool(human.allowed >> self.bits[f"measure_{value}"] & 1)
        if field == "segment":
            return self.holds(self.segments[value], human)
        if field == "activity.stage":
            return self.stage(human) in value
        if field == "random":
            digest = hashlib.md5(f"{value['seed']}:{human.id}".encode()).hexdigest()[:8]
            return int(digest, 16) < int(value["percent"] * 2**32 / 100)
        if field == "created":
            return self.dated(op, value, human.created_at.astimezone(self.zone).date())
        if field == "email":
            return self.typed("text", op, value, human.email)
        if field == "language":
            return self.typed("text", op, value, human.language)
        key = field[5:]
        return self.typed(self.kinds[key], op, value, human.props.get(key))

    def typed(self, kind: str, op: str, value: Any, have: Any) -> bool:
        if kind in {"text", "choice"}:
            have = have if isinstance(have, str) else None
            if op == "known" or have is None:
                return have is not None
            fold = str.lower if kind == "text" else str
            if op in {"is", "in"}:
                return fold(have) in [fold(v) for v in ([value] if op == "is" else value)]
            return fold(value) in fold(have) if op == "contains" else fold(have).startswith(fold(value))
        if kind == "boolean":
            have = have if isinstance(have, bool) else None
            return have is not None if op == "known" else have is value
        if kind in {"number", "money"}:
            good = isinstance(have, int | float) and not isinstance(have, bool)
            if op == "known" or not good:
                return good
            return self.compared(op, Decimal(repr(have)), value)
        if kind == "date":
            if not isinstance(have, str):
                return False
            if op == "known":
                return bool(re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", have))
            try:
                day = date.fromisoformat(have)
            except ValueError:
                return False
            return self.dated(op, value, day)
        if kind == "list":
            have = have if isinstance(have, list) else None
            if op == "known":
                return bool(have)
            return have is not None and (any if op == "has_any" else all)(v in have for v in value)
        assert kind == "place"
        have = have if isinstance(have, dict) else None
        if op == "known" or have is None:
            return have is not None
        if op == "called":
            return isinstance(have.get("label"), str) and have["label"] in value
        if op == "country_in":
            return isinstance(have.get("country"), str) and have["country"].upper() in value
        if op == "postcode_begins":
            code = have.get("postcode")
            return isinstance(code, str) and any(code.upper().startswith(v.upper()) for v in value)
        if op in {"department_in", "region_in"}:
            code, country = have.get("postcode"), have.get("country")
            country = country.upper() if isinstance(country, str) else "FR"  # the clocks are those of Paris
            if not isinstance(code, str) or len(code) != 5 or country not in places.FRENCH:
                return False
            department = places.department_of(code)
            return (department if op == "department_in" else places.region_of(department)) in value
        for k, most in (("lat", 90), ("lon", 180)):
            n = have.get(k)
            if not isinstance(n, int | float) or isinstance(n, bool) or abs(n) > most:
                return False
        here = (have["lat"], have["lon"])
        if op == "near":
            return self.far(here, (value["lat"], value["lon"])) <= value["km"]
        distances = {pk: self.far(here, spot) for pk, spot in self.shops.items()}
        if op == "near_shop":
            return min(distances.values()) <= value
        nearest = min(distances.values())
        return any(distances[pk] <= nearest for pk in value)

    def far(self, one: tuple[float, float], other: tuple[float, float]) -> float:
        """By chord length, another formula than the compiler's."""
        a, b = ((math.radians(p), math.radians(q)) for p, q in (one, other))
        x, y = ((math.cos(p) * math.cos(q), math.cos(p) * math.sin(q), math.sin(p)) for p, q in (a, b))
        return 2 * 6371.0088 * math.asin(min(2.0, math.dist(x, y)) / 2)

    def compared(self, op: str, have: Any, value: Any) -> bool:
        def d(n: Any) -> Decimal:
            return Decimal(repr(n))

        if op == "between":
            return d(value[0]) <= have <= d(value[1])
        v = d(value)
        return {"is": have == v, "gt": have > v, "gte": have >= v, "lt": have < v, "lte": have <= v}[op]

    def dated(self, op: str, value: Any, day: date) -> bool:
        match op:
            case "known":
                return True
            case "is":
                return day.isoformat() == value
            case "before":
                return day.isoformat() < value
            case "after":
                return day.isoformat() > value
            case "between":
                return value[0] <= day.isoformat() <= value[1]
            case "in_last":
                return 0 <= (self.today - day).days <= value
            case "in_next":
                return 0 <= (day - self.today).days <= value
            case "more_than_ago":
                return (self.today - day).days > value
            case "age_between":
                age = self.today.year - day.year - ((self.today.month, self.today.day) < (day.month, day.day))
                return value[0] <= age <= value[1]
            case "anniversary":
                for n in range(-value, value + 1):
                    near = self.today + timedelta(days=n)
                    if (near.month, near.day) == (day.month, day.day):
                        return True
                    tomorrow = near + timedelta(days=1)
                    if (day.month, day.day) == (2, 29) == (near.month, near.day + 1) and tomorrow.month == 3:
                        return True
                return False
        md = day.isoformat()[5:]
        low, high = value
        return low <= md <= high if low <= high else md >= low or md <= high

    def within(self, at: datetime, where: dict[str, Any]) -> bool:
        day = at.astimezone(self.zone).date()
        return (
            ("within_days" not in where or 0 <= (self.today - day).days <= where["within_days"])
            and ("after" not in where or day.isoformat() > where["after"])
            and ("before" not in where or day.isoformat() < where["before"])
        )

    def orders(self, what: str, op: str, value: Any, where: dict[str, Any], human: Human) -> bool:
        found, coded = [], 0
        for order in human.orders:
            if not self.within(order["at"], where) or order["currency"] != where.get("currency", order["currency"]):
                continue
            amount = order["amount"]
            if "category" in where or "product" in where:
                lines = [
                    line
                    for line in order["lines"]
                    if line[1].lower() in [c.lower() for c in where.get("category", [line[1]])]
                    and line[0].lower() in [p.lower() for p in where.get("product", [line[0]])]
                ]
                if not lines:
                    continue
                amount = sum(line[2] for line in lines)
            found.append((order["at"], amount))
            coded += order["code"] != ""
        if what == "count":
            return self.compared(op, Decimal(len(found)), value)
        if what == "sum":
            return self.compared(op, Decimal(sum(a for _, a in found)), value)
        if not found:
            return False
        if op == "known":
            return True
        if what == "coded":
            return self.compared(op, Decimal(100 * coded) / len(found), value)
        if what == "average":
            from fractions import Fraction

            mean = Fraction(sum(a for _, a in found), len(found))
            v = value
            if op == "between":
                return v[0] <= mean <= v[1]
            return {"is": mean == v, "gt": mean > v, "gte": mean >= v, "lt": mean < v, "lte": mean <= v}[op]
        edge = (min if what == "first" else max)(at for at, _ in found)
        return self.dated(op, value, edge.astimezone(self.zone).date())

    def just_bought(self, op: str, value: Any, human: Human) -> bool:
        """Net of what went back, something of a category whose delay is not over."""
        kept: dict[str, int] = {}
        for order in human.orders:
            for product, category, amount, quantity in order["lines"]:
                days = self.delays.get(category.lower() or "-", self.delays.get("", 30))
                if not self.within(order["at"], {"within_days": days}):
                    continue
                thing = (product if op == "of_product" else category).lower()
                if op != "anything" and thing not in [one.lower() for one in value]:
                    continue
                back = amount < 0 or quantity < 0 or (amount == 0 and order["amount"] < 0)
                kept[thing] = kept.get(thing, 0) + (-abs(quantity) if back else quantity)
        return any(n > 0 for n in kept.values())

    def standing(self, field: str, op: str, value: Any, human: Human) -> bool:
        if human.score is None or human.unprofiled:
            return False
        if op == "known":
            return True
        if field in ("tier", "rfm.segment"):
            have = (human.tier or "standard") if field == "tier" else human.score["named"]
            return have in ([value] if op == "is" else value)
        key = field[4:]
        have = Decimal(human.score["f"] + human.score["m"]) / 2 if key == "fm" else Decimal(human.score[key])
        return self.compared(op, have, value)

    def reading(self, op: str, value: Any, human: Human) -> bool:
        """Of the ten sendings that went to her last: in how many did she click herself?"""
        last: dict[int, datetime] = {}
        for s in human.sends:
            if s["kind"] not in {"test", "system"} and s["state"] not in {"cancelled", "suppressed"}:
                last[s["sending_id"]] = max(s["created_at"], last.get(s["sending_id"], s["created_at"]))
        ten = sorted(last, key=lambda sending: (last[sending], sending), reverse=True)[:10]
        if len(ten) < 6:
            return False
        if op == "known":
            return True
        clicked = {e["sending_id"] for e in human.events if (e["kind"], e["machine"]) == (6, None)}
        share = Decimal(100 * len(clicked & set(ten))) / len(ten)
        return share >= Decimal(repr(value)) if op == "gte" else share < Decimal(repr(value))

    def on_list(self, op: str, value: Any, human: Human) -> bool:
        if op == "founder":
            first = sorted(
                min(since for list_id, since, _ in one.stays if list_id == value)
                for one in self.humans
                if any(list_id == value and since < self.now for list_id, since, _ in one.stays)
            )
            if not first:
                return False
            edge = max(first[0] + timedelta(hours=720), first[math.ceil(0.05 * len(first)) - 1])
            return any(i == value and until is None and since <= edge for i, since, until in human.stays)
        if op == "anniversary":
            return any(
                list_id == value["list"] and until is None and self.is_birthday(since, value["years"], value["days"])
                for list_id, since, until in human.stays
            )
        if op == "joined_in_last":
            return any(
                list_id == value["list"] and until is None and self.within(since, {"within_days": value["days"]})
                for list_id, since, until in human.stays
            )
        return any(list_id == value and (op == "ever_on" or until is None) for list_id, _, until in human.stays)

    def is_birthday(self, since: datetime, years: list[int], spread: int) -> bool:
        day = since.astimezone(self.zone).date()
        for n in range(-spread, spread + 1):
            near = self.today + timedelta(days=n)
            if near.year - day.year not in years:
                continue
            leap = (near + timedelta(days=1)).month == 3 and (near.month, near.day) == (2, 28)
            if (near.month, near.day) == (day.month, day.day) or (leap and (day.month, day.day) == (2, 29)):
                return True
        return False

    def activity(self, kind: str, op: str, value: Any, where: dict[str, Any], human: Human) -> bool:
        if kind == "opened" and not human.allowed >> self.bits["measure_opens"] & 1:
            return False
        found = [
            (e["at"], e["sending_id"])
            for e in human.events
            if (e["kind"], e["machine"]) == (EVENT_KINDS.get(kind), None)
        ]
        real = [s for s in human.sends if s["kind"] not in {"test", "system"}]
        if kind == "sent":
            found = [(s["created_at"], s["sending_id"]) for s in real if s["state"] not in {"cancelled", "suppressed"}]
        elif kind == "delivered":
            found = [(s["at"], s["sending_id"]) for s in real if s["state"] == "delivered"]
        n = sum(self.within(at, where) and where.get("sending", sending) == sending for at, sending in found)
        return n >= value if op == "at_least" else n < (value or 1)

    def happened(self, name: str, op: str, value: Any, where: dict[str, Any], human: Human) -> bool:
        if op not in ("at_least", "fewer_than", "never"):
            return self.figure(name, op, value, where, human)
        n = 0
        for one in human.happenings:
            if one["name"] != name or not self.within(one["at"], where):
                continue
            fact = where.get("property")
            n += fact is None or self.told(one["told"].get(fact["name"]), fact["op"], fact["value"])
        return n >= value if op == "at_least" else n < (value or 1)

    def figure(self, name: str, op: str, fact: dict[str, Any], where: dict[str, Any], human: Human) -> bool:
        """A sum of nothing is 0; no other figure of nothing compares with anything."""
        if fact["op"] == "is_not":
            return not self.figure(name, op, {**fact, "op": "is"}, where, human)
        narrow = where.get("property")
        found = [
            Decimal(repr(one["told"][fact["name"]])).quantize(Decimal("0.001"), ROUND_HALF_UP)
            for one in human.happenings
            if one["name"] == name
            and self.within(one["at"], where)
            and isinstance(one["told"].get(fact["name"]), int | float)
            and (narrow is None or self.told(one["told"].get(narrow["name"]), narrow["op"], narrow["value"]))
        ]
        if not found and op != "sum":
            return False
        value = Decimal(repr(fact["value"])).quantize(Decimal("0.001"), ROUND_HALF_UP)
        have, times = {
            "sum": (sum(found), 1), "average": (sum(found), len(found)),
            "smallest": (min(found, default=0), 1), "largest": (max(found, default=0), 1),
        }[op]  # fmt: skip
        than = value * times
        tests = {"is": have == than, "gt": have > than, "gte": have >= than, "lt": have < than, "lte": have <= than}
        return tests[fact["op"]]

    def told(self, have: Any, op: str, value: Any) -> bool:
        if isinstance(value, str):
            if not isinstance(have, str):
                return False
            a, b = have.lower(), value.lower()
            return {"is": a == b, "is_not": a != b, "contains": b in a}[op]
        if isinstance(value, bool) or isinstance(have, bool) or not isinstance(have, int | float):
            same = isinstance(value, bool) and isinstance(have, bool)
            return same and (have == value if op == "is" else have != value)
        if op == "is_not":
            return Decimal(repr(have)) != Decimal(repr(value))
        return self.compared(op, Decimal(repr(have)), value)

    def cares(self, op: str, value: Any, where: dict[str, Any], human: Human) -> bool:
        found = set()
        for one in human.interests:
            if one["until"] is not None or one["origin"] == "refused":
                continue
            if one["origin"] != where.get("origin", one["origin"]):
                continue
            if one["origin"] == "inferred":
                if human.unprofiled:
                    continue
                age = max((self.today - one["last_on"]).days, 0)
                strength = 100 * (1 - math.exp(-one["reads"] / 5)) * 0.5 ** (age / 60)
                if strength < where.get("strength", 0):
                    continue
            found.add(one["key"])
        if op == "known":
            return bool(found)
        return bool(found & set(value)) if op == "has_any" else found >= set(value)

    def reason(self, human: Human, origin: str) -> str | None:
        """What she answered, else the first thing that can be told; of people who have gone quiet."""
        if self.stage(human) not in ("inactive", "dormant", "never"):
            return None
        if human.reason is not None:
            return human.reason if origin != "inferred" else None
        if origin == "declared":
            return None

        def did(kind: str, times: int, days: int) -> bool:
            return self.activity(kind, "at_least", times, {"within_days": days}, human)

        if did("sent", 3, 90) and not did("delivered", 1, 90):
            return "unreached"
        if did("delivered", 12, 30):
            return "too_many"
        habits = [] if human.unprofiled else human.habits
        if "off_topic" in habits:
            return "content"
        agreed = bool(human.allowed >> self.bits["measure_opens"] & 1)
        # Of opens "never" too is told among people who agreed alone.
        if agreed and did("delivered", 8, 180) and self.activity("opened", "never", None, {"within_days": 180}, human):
            return "not_opening"
        if "seasonal" in habits:
            return "seasonal"
        return "moment" if self.orders("last", "in_last", 365, {}, human) else None

    def rhythm(self, times: int, human: Human) -> bool:
        if human.rhythm is None:
            return False
        where = {"within_days": human.rhythm * times}
        return (
            self.activity("clicked", "at_least", 1, where, human)
            or self.activity("opened", "at_least", 1, where, human)
            or self.activity("replied", "at_least", 1, where, human)
            or self.orders("count", "gte", 1, where, human)
        )

    def stage(self, human: Human) -> str:
        """The one stage somebody is in, told in order."""
        if 0 <= (self.today - human.created_at.astimezone(self.zone).date()).days <= 30:
            return "new"

        def did(where: dict[str, Any]) -> bool:
            return (
                self.activity("clicked", "at_least", 1, where, human)
                or self.activity("opened", "at_least", 1, where, human)
                or self.activity("replied", "at_least", 1, where, human)
                or self.activity("replied", "at_least", 1, where, human)
                or self.orders("count", "gte", 1, where, human)
            )

        for stage, days in (("active", 90), ("cooling", 180), ("inactive", 365)):
            if did({"within_days": days}):
                return stage
        if did({}):
            return "dormant"
        old = (self.today - human.created_at.astimezone(self.zone).date()).days > 60
        return "never" if old and self.activity("delivered", "at_least", 8, {}, human) else "open"

    def funnel(self, human: Human) -> str:
        """The one stage of purchase somebody is in."""
        if not human.orders:
            lately = {"within_days": 90}
            acted = any(self.activity(kind, "at_least", 1, lately, human) for kind in ("clicked", "replied"))
            return "interest" if acted else "discovery"
        if not any(self.within(order["at"], {"within_days": 365}) for order in human.orders):
            return "past"
        return "repeat" if len(human.orders) > 1 else "first"

    def may_write(self, purpose: str, human: Human) -> bool:
        bit = 1 << self.bits[purpose]
        if human.suppressed or ((human.objected or human.silenced) and purpose not in self.transactional):
            return False
        if purpose in self.transactional:
            return not human.refused & bit
        return bool(human.allowed & bit) and not human.refused & bit
