"""A segment in one plain sentence, in French or English, made from its tree.

Every rule is a relative clause ("who placed at least 2 orders", "dont « Ville » est « Nantes »"), so
any tree becomes one grammatical sentence. Labels stand in quotes: no article or gender to guess.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from babel.dates import format_date
from babel.numbers import format_currency, format_decimal

from envol.accounts.models import Workspace
from envol.audience import phrases, wording
from envol.audience.catalogue import Catalogue
from envol.audience.language import Group, Rule, parse

_BOUGHT = ("of_category", "of_product", "anything")
NARROW = "\u202f"  # French narrow no-break space


def describe(tree: dict[str, Any] | None, workspace: Workspace | Catalogue, language: str = "en") -> str:
    """The whole tree as one sentence. Raises ``language.SegmentProblem`` when it cannot be read."""
    catalogue = Catalogue.of(workspace)
    root = parse(tree, catalogue)
    end = "."
    if root.people is not None:
        end = wording.by_hand(*catalogue.by_hand.get(root.people, (0, 0)), language) + end
    french = language.startswith("fr")
    if not root.rules:
        return ("Toutes les personnes" if french else "Everybody") + end
    if root.match == "none":
        start, those = ("Toutes les personnes, sauf celles ", "fr") if french else ("Everybody, except people ", "en")
        return start + _joined(root.rules, "any", those) + end
    start = "Les personnes " if french else "People "
    return start + _joined(root.rules, root.match, "fr" if french else "en") + end


def clause(node: Group | Rule, language: str = "en") -> str:
    """One rule or group as a relative clause."""
    language = "fr" if language.startswith("fr") else "en"
    if isinstance(node, Rule):
        words = _WORDS[language]
        return phrases.say(words, node, language) if node.field.kind in phrases.KINDS else words.rule(node)
    if not node.rules:
        return "quelles qu’elles soient" if language == "fr" else "whoever they are"
    if node.match == "none":
        inner = _joined(node.rules, "any", language)
        return f"qui ne sont pas de celles {inner}" if language == "fr" else f"who are not among those {inner}"
    return _joined(node.rules, node.match, language)


def _joined(items: tuple[Rule | Group, ...], match: str, language: str) -> str:
    parts = []
    for item in items:
        text = clause(item, language)
        if isinstance(item, Group) and len(items) > 1 and (len(item.rules) > 1 or item.match == "none"):
            text = f"({text})"
        parts.append(text)
    last = {"all": {"fr": "et", "en": "and"}, "any": {"fr": "ou", "en": "or"}, "none": {"fr": "ou", "en": "or"}}
    if len(parts) == 1:
        return parts[0]
    return ", ".join(parts[:-1]) + f" {last[match][language]} " + parts[-1]


def _money(cents: int, currency: str | None, locale: str) -> str:
    amount = Decimal(cents) / 100
    if currency:
        return format_currency(amount, currency, locale=locale)
    return format_decimal(amount, format="#,##0.00", locale=locale)


class _English:
    locale = "en_GB"

    def quote(self, text: Any) -> str:
        return f"“{text}”"

    def several(self, values: Any, last: str) -> str:
        quoted = [self.quote(v) for v in values]
        return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + f" {last} {quoted[-1]}"

    def number(self, value: Any) -> str:
        return format_decimal(Decimal(str(value)), format="#,##0.############", locale=self.locale)

    def day(self, value: str) -> str:
        return format_date(date.fromisoformat(value), "long", locale=self.locale)

    def year_day(self, value: str) -> str:
        return format_date(date.fromisoformat(f"2000-{value}"), "d MMMM", locale=self.locale)

    def days(self, n: int) -> str:
        return "1 day" if n == 1 else f"{self.number(n)} days"

    def last_days(self, n: int) -> str:
        return "in the last day" if n == 1 else f"in the last {self.days(n)}"

    def amount(self, rule: Rule, value: Any) -> str:
        if rule.field.kind in {"money", "order_sum", "order_average"}:
            return _money(value, rule.where.get("currency"), self.locale)
        return self.number(value)

    def named(self, rule: Rule, value: Any) -> str:
        for choice in rule.field.choices:
            if choice.value == value:
                return choice.label_en
        return str(value)

    def label(self, rule: Rule) -> str:
        return rule.field.label("en")

    def compared(self, rule: Rule) -> str:
        v = rule.value
        if rule.op == "between":
            return f"is between {self.amount(rule, v[0])} and {self.amount(rule, v[1])}"
        word = {"is": "is", "is_not": "is not", "gt": "is more than", "gte": "is at least"}
        word |= {"lt": "is less than", "lte": "is at most"}
        return f"{word[rule.op]} {self.amount(rule, v)}"

    def dated(self, rule: Rule) -> str:
        v = rule.value
        match rule.op:
            case "is":
                return f"is {self.day(v)}"
            case "before":
                return f"is before {self.day(v)}"
            case "after":
                return f"is after {self.day(v)}"
            case "between":
                return f"is between {self.day(v[0])} and {self.day(v[1])}"
            case "in_last":
                return "is today" if v == 0 else f"is {self.last_days(v)}"
            case "in_next":
                return "is today" if v == 0 else f"is in the next {self.days(v)}"
            case "more_than_ago":
                return f"is more than {self.days(v)} ago"
            case "anniversary":
                return "has its anniversary today" if v == 0 else f"has its anniversary within {self.days(v)} of today"
            case "anniversary_between":
                return f"has its anniversary between {self.year_day(v[0])} and {self.year_day(v[1])}"
            case "age_between":
                return f"gives an age of {self.number(v[0])} to {self.number(v[1])} years"
        return "is known" if rule.op == "known" else "is not known"

    def window(self, rule: Rule) -> str:
        w, made = rule.where, []
        if "category" in w:
            made.append(f"in the category {self.several(w['category'], 'or')}")
        if "product" in w:
            made.append(f"of the product {self.several(w['product'], 'or')}")
        if "currency" in w:
            made.append(f"in {w['currency']}")
        if "sending" in w:
            made.append(f"in the sending {self.quote(self.named(rule, w['sending']))}")
        if "within_days" in w:
            made.append("today" if w["within_days"] == 0 else self.last_days(w["within_days"]))
        if "after" in w:
            made.append(f"after {self.day(w['after'])}")
        if "before" in w:
            made.append(f"before {self.day(w['before'])}")
        return "".join(f" {part}" for part in made)

    def rule(self, rule: Rule) -> str:
        v, op, kind = rule.value, rule.op, rule.field.kind
        if (said := wording.clause(self, rule)) is not None:
            return said
        match kind:
            case "on_list":
                name = self.quote(self.named(rule, v["list"] if op == "joined_in_last" else v))
                if op == "joined_in_last":
                    return f"who joined the list {name} " + ("today" if v["days"] == 0 else self.last_days(v["days"]))
                return {
                    "on": f"who are on the list {name}",
                    "not_on": f"who are not on the list {name}",
                    "ever_on": f"who are or were on the list {name}",
                }[op]
            case "tags":
                word = {"has_any": "who have the tag", "has_all": "who have all of the tags"}.get(op)
                return f"{word or 'who do not have the tag'} {self.several(v, 'and' if op == 'has_all' else 'or')}"
            case "activity":
                return self.activity(rule)
            case "permission":
                can = "may" if op == "may_write" else "may not"
                return f"to whom we {can} write for {self.quote(self.named(rule, v))}"
            case "measured" if op == "unasked":
                return f"who never said whether {self.named(rule, v)} may be measured"
            case "measured":
                return f"who {'agreed' if op == 'is' else 'did not agree'} to the measuring of {self.named(rule, v)}"
            case "segment":
                return f"who are {'' if op == 'in' else 'not '}in the segment {self.quote(self.named(rule, v))}"
            case "stage":
                named = self.several([self.named(rule, one) for one in v], "or")
                what = "purchase" if rule.field.group == "orders" else "activity"
                return f"whose stage of {what} {'is' if op == 'in' else 'is not'} {named}"
            case "random":
                seed = f" (draw {self.quote(v['seed'])})" if v["seed"] else ""
                return f"who belong to a random share of {self.number(v['percent'])}%{seed}"
            case "just_bought":
                return f"who have {'' if op in _BOUGHT else 'not '}just bought{self.bought(rule)}"
            case "order_count" if op == "is" and v == 0:
                return f"who placed no order{self.window(rule)}"
            case "order_count" | "order_sum" | "order_average" | "order_date":
                label = self.label(rule)
                said = self.dated(rule) if kind == "order_date" or op in {"known", "unknown"} else self.compared(rule)
                return f"whose {label[0].lower()}{label[1:]}{self.window(rule)} {said}"
        return f"whose {self.quote(self.label(rule))} {self.property(rule)}"

    def bought(self, rule: Rule) -> str:
        key = "product" if rule.op.endswith("product") else "category"
        if rule.value is None:
            return ""
        return self.window(Rule(rule.path, rule.field, rule.op, None, {key: rule.value}))

    def activity(self, rule: Rule) -> str:
        verb = {
            "sent": "were sent a message",
            "delivered": "received a message",
            "opened": "opened a message",
            "clicked": "clicked in a message",
            "replied": "replied to a message",
            "unsubscribed": "unsubscribed",
        }[rule.field.inner]
        n = rule.value or 1
        times = "once" if n == 1 else f"{self.number(n)} times"
        known = {"sent": "messages sent", "delivered": "messages received", "opened": "known opens"}
        known |= {"clicked": "known clicks", "unsubscribed": "unsubscribes", "replied": "messages replied to"}
        none = {"sent": "who were sent no message", "delivered": "who received no message"}
        none |= {"opened": "who have no known open", "clicked": "who have no known click"}
        none |= {"unsubscribed": "who did not unsubscribe", "replied": "who replied to no message"}
        if rule.op == "at_least":
            said = f"who {verb} at least {times}"
        elif n == 1:
            said = none[rule.field.inner]
        else:
            said = f"whose number of {known[rule.field.inner]} is less than {self.number(n)}"
        scope = ", among people who agreed to be measured" if rule.field.inner == "opened" else ""
        return said + self.window(rule) + scope

    def property(self, rule: Rule) -> str:
        v, op = rule.value, rule.op
        match rule.field.kind:
            case "number" | "money" | "score" | "expected" if op not in {"known", "unknown"}:
                return self.compared(rule)
            case "date" | "instant" | "permitted":
                return self.dated(rule)
        match op:
            case "is" if isinstance(v, bool):
                return "is yes" if v else "is no"
            case "is" | "is_not":
                return f"{'is' if op == 'is' else 'is not'} {self.quote(self.named(rule, v))}"
            case "in" | "not_in":
                names = [self.named(rule, one) for one in v]
                return f"{'is' if op == 'in' else 'is not'} {self.several(names, 'or')}"
            case "contains":
                return f"contains {self.quote(v)}"
            case "not_contains":
                return f"does not contain {self.quote(v)}"
            case "begins":
                return f"begins with {self.quote(v)}"
            case "has_any" | "has_all" | "has_none":
                names = [self.named(rule, one) for one in v]
                verb = "does not contain" if op == "has_none" else "contains"
                return f"{verb} {self.several(names, 'and' if op == 'has_all' else 'or')}"
            case "called":
                return f"is {self.several(v, 'or')}"
            case "near":
                spot = v.get("label") or f"{v['lat']}, {v['lon']}"
                return f"is within {self.number(v['km'])} km of {self.quote(spot)}"
            case "country_in":
                return f"is in the country {self.several(v, 'or')}"
            case "postcode_begins":
                return f"has a postcode that begins with {self.several(v, 'or')}"
            case "known":
                return "is known"
        return "is not known"


class _French(_English):
    locale = "fr_FR"

    def quote(self, text: Any) -> str:
        return f"«{NARROW}{text}{NARROW}»"

    def days(self, n: int) -> str:
        return f"{self.number(n)} jour" if n < 2 else f"{self.number(n)} jours"

    def last_days(self, n: int) -> str:
        return "au cours du dernier jour" if n == 1 else f"au cours des {self.number(n)} derniers jours"

    def day(self, value: str) -> str:
        day = date.fromisoformat(value)
        text = format_date(day, "long", locale=self.locale)
        return "le " + ("1er" + text[1:] if day.day == 1 and text.startswith("1 ") else text)

    def year_day(self, value: str) -> str:
        text = format_date(date.fromisoformat(f"2000-{value}"), "d MMMM", locale=self.locale)
        return "le " + ("1er" + text[1:] if text.startswith("1 ") else text)

    def named(self, rule: Rule, value: Any) -> str:
        for choice in rule.field.choices:
            if choice.value == value:
                return choice.label_fr
        return str(value)

    def label(self, rule: Rule) -> str:
        return rule.field.label("fr")

    def compared(self, rule: Rule) -> str:
        v = rule.value
        if rule.op == "between":
            return f"est compris entre {self.amount(rule, v[0])} et {self.amount(rule, v[1])}"
        word = {"is": "vaut", "is_not": "ne vaut pas", "gt": "dépasse", "gte": "atteint au moins"}
        word |= {"lt": "reste en dessous de", "lte": "ne dépasse pas"}
        return f"{word[rule.op]} {self.amount(rule, v)}"

    def dated(self, rule: Rule) -> str:
        v = rule.value
        match rule.op:
            case "is":
                return f"est {self.day(v)}"
            case "before":
                return f"tombe avant {self.day(v)}"
            case "after":
                return f"tombe après {self.day(v)}"
            case "between":
                return f"tombe entre {self.day(v[0])} et {self.day(v[1])}"
            case "in_last":
                return "tombe aujourd’hui" if v == 0 else f"tombe {self.last_days(v)}"
            case "in_next":
                if v < 2:
                    return "tombe aujourd’hui" if v == 0 else "tombe aujourd’hui ou demain"
                return f"tombe dans les {self.number(v)} prochains jours"
            case "more_than_ago":
                return f"remonte à plus de {self.days(v)}"
            case "anniversary":
                if v == 0:
                    return "a son anniversaire aujourd’hui"
                return f"a son anniversaire à {self.days(v)} au plus d’aujourd’hui"
            case "anniversary_between":
                return f"a son anniversaire entre {self.year_day(v[0])} et {self.year_day(v[1])}"
            case "age_between":
                return f"donne un âge de {self.number(v[0])} à {self.number(v[1])} ans"
        return self.known(rule.op)

    def known(self, op: str) -> str:
        return "est une donnée connue" if op == "known" else "n’est pas une donnée connue"

    def window(self, rule: Rule) -> str:
        w, made = rule.where, []
        if "category" in w:
            made.append(f"dans la catégorie {self.several(w['category'], 'ou')}")
        if "product" in w:
            made.append(f"pour le produit {self.several(w['product'], 'ou')}")
        if "currency" in w:
            made.append(f"en {w['currency']}")
        if "sending" in w:
            made.append(f"dans l’envoi {self.quote(self.named(rule, w['sending']))}")
        if "within_days" in w:
            made.append("aujourd’hui" if w["within_days"] == 0 else self.last_days(w["within_days"]))
        if "after" in w:
            made.append(f"après {self.day(w['after'])}")
        if "before" in w:
            made.append(f"avant {self.day(w['before'])}")
        return "".join(f" {part}" for part in made)

    def rule(self, rule: Rule) -> str:
        v, op, kind = rule.value, rule.op, rule.field.kind
        if (said := wording.clause(self, rule)) is not None:
            return said
        match kind:
            case "on_list":
                name = self.quote(self.named(rule, v["list"] if op == "joined_in_last" else v))
                if op == "joined_in_last":
                    when = "aujourd’hui" if v["days"] == 0 else self.last_days(v["days"])
                    return f"qui ont rejoint la liste {name} {when}"
                return {
                    "on": f"qui sont sur la liste {name}",
                    "not_on": f"qui ne sont pas sur la liste {name}",
                    "ever_on": f"qui sont ou ont été sur la liste {name}",
                }[op]
            case "tags":
                word = {"has_any": "qui portent l’étiquette", "has_all": "qui portent toutes les étiquettes"}.get(op)
                last = "et" if op == "has_all" else "ou" if op == "has_any" else "ni"
                return f"{word or 'qui ne portent pas l’étiquette'} {self.several(v, last)}"
            case "activity":
                return self.activity(rule)
            case "permission":
                can = "à qui l’on peut écrire" if op == "may_write" else "à qui l’on ne peut pas écrire"
                return f"{can} pour {self.quote(self.named(rule, v))}"
            case "measured" if op == "unasked":
                return f"qui n’ont jamais dit si l’on peut mesurer {self.named(rule, v)}"
            case "measured":
                who = "qui ont accepté" if op == "is" else "qui n’ont pas accepté"
                return f"{who} que l’on mesure {self.named(rule, v)}"
            case "segment":
                are = "qui sont" if op == "in" else "qui ne sont pas"
                return f"{are} dans le segment {self.quote(self.named(rule, v))}"
            case "stage":
                named = self.several([self.named(rule, one) for one in v], "ou")
                is_it = "est" if op == "in" else "n’est pas"
                what = "l’étape d’achat" if rule.field.group == "orders" else "le stade d’activité"
                return f"dont {what} {is_it} {named}"
            case "random":
                seed = f" (tirage {self.quote(v['seed'])})" if v["seed"] else ""
                return f"qui font partie d’une part au hasard de {self.number(v['percent'])}{NARROW}%{seed}"
            case "just_bought":
                return f"{'qui viennent' if op in _BOUGHT else 'qui ne viennent pas'} d’acheter{self.bought(rule)}"
            case "order_count" if op == "is" and v == 0:
                return f"qui n’ont passé aucune commande{self.window(rule)}"
            case "order_count" | "order_sum" | "order_average" | "order_date":
                article = {"count": "le nombre de commandes", "sum": "le total des commandes"}
                article |= {
                    "average": "la commande moyenne",
                    "min": "la première commande",
                    "max": "la dernière commande",
                }
                if op in {"known", "unknown"}:
                    return f"{'qui ont' if op == 'known' else 'qui n’ont pas'} passé de commande{self.window(rule)}"
                said = self.dated(rule) if kind == "order_date" else self.compared(rule)
                if rule.field.inner == "average":
                    said = said.replace("est compris", "est comprise")
                return f"dont {article[rule.field.inner]}{self.window(rule)} {said}"
        return f"dont {self.quote(self.label(rule))} {self.property(rule)}"

    def activity(self, rule: Rule) -> str:
        kind = rule.field.inner
        done = {
            "sent": "à qui l’on a envoyé un message",
            "delivered": "qui ont reçu un message",
            "opened": "qui ont ouvert un message",
            "clicked": "qui ont cliqué dans un message",
            "replied": "qui ont répondu à un message",
            "unsubscribed": "qui se sont désabonnées",
        }[kind]
        past = {
            "sent": "messages envoyés",
            "delivered": "messages remis",
            "opened": "ouvertures",
            "clicked": "clics",
            "replied": "réponses",
            "unsubscribed": "désabonnements",
        }[kind]
        none = {
            "sent": "à qui l’on n’a envoyé aucun message",
            "delivered": "qui n’ont reçu aucun message",
            "opened": "qui n’ont aucune ouverture connue",
            "clicked": "qui n’ont aucun clic connu",
            "replied": "qui n’ont répondu à aucun message",
            "unsubscribed": "qui ne se sont pas désabonnées",
        }[kind]
        n = rule.value or 1
        said = {
            "at_least": f"{done} au moins {'une' if n == 1 else self.number(n)} fois",
            "fewer_than": none if n == 1 else f"dont le nombre connu de {past} est inférieur à {self.number(n)}",
            "never": none,
        }[rule.op]
        scope = ", parmi celles qui ont accepté la mesure" if kind == "opened" else ""
        return said + self.window(rule) + scope

    def property(self, rule: Rule) -> str:
        v, op = rule.value, rule.op
        match rule.field.kind:
            case "number" | "money" | "score" | "expected" if op not in {"known", "unknown"}:
                return self.compared(rule)
            case "date" | "instant" | "permitted":
                return self.dated(rule)
        match op:
            case "is" if isinstance(v, bool):
                return "vaut «\u202foui\u202f»" if v else "vaut «\u202fnon\u202f»"
            case "is" | "is_not":
                return f"{'vaut' if op == 'is' else 'ne vaut pas'} {self.quote(self.named(rule, v))}"
            case "in" | "not_in":
                names = [self.named(rule, one) for one in v]
                return f"vaut {self.several(names, 'ou')}" if op == "in" else f"ne vaut pas {self.several(names, 'ni')}"
            case "contains":
                return f"contient {self.quote(v)}"
            case "not_contains":
                return f"ne contient pas {self.quote(v)}"
            case "begins":
                return f"commence par {self.quote(v)}"
            case "has_any" | "has_all" | "has_none":
                names = [self.named(rule, one) for one in v]
                if op == "has_none":
                    return f"ne contient pas {self.several(names, 'ni')}"
                return f"contient {self.several(names, 'et' if op == 'has_all' else 'ou')}"
            case "called":
                return f"est {self.several(v, 'ou')}"
            case "near":
                spot = v.get("label") or f"{v['lat']}, {v['lon']}"
                return f"est à {self.number(v['km'])} km au plus de {self.quote(spot)}"
            case "country_in":
                return f"est dans le pays {self.several(v, 'ou')}"
            case "postcode_begins":
                return f"a un code postal qui commence par {self.several(v, 'ou')}"
        return self.known(op)


_WORDS: dict[str, _English] = {"en": _English(), "fr": _French()}
