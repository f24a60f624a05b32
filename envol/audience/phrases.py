"""Sentences about what people did elsewhere and what they care for, beside :mod:`envol.audience.sentences`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from envol.audience.language import Rule
from envol.audience.operators import MEASURES

if TYPE_CHECKING:
    from envol.audience.sentences import _English as Words

_SAID = {
    "en": {
        "is": "is", "is_not": "is not", "contains": "contains", "gt": "is more than", "gte": "is at least",
        "lt": "is less than", "lte": "is at most",
    },
    "fr": {
        "is": "vaut", "is_not": "ne vaut pas", "contains": "contient", "gt": "dépasse", "gte": "atteint au moins",
        "lt": "reste en dessous de", "lte": "ne dépasse pas",
    },
}  # fmt: skip


def _value(words: Words, value: Any, french: bool) -> str:
    if isinstance(value, bool):
        return words.quote(("oui" if value else "non") if french else ("yes" if value else "no"))
    return words.quote(value) if isinstance(value, str) else words.number(value)


def _fact(words: Words, rule: Rule, french: bool) -> str:
    fact = rule.where.get("property")
    if fact is None:
        return ""
    verb = _SAID["fr" if french else "en"][fact["op"]]
    said = f"{words.quote(fact['name'])} {verb} {_value(words, fact['value'], french)}"
    return f", quand {said}," if french else f" where {said}"


def _happened_en(words: Words, rule: Rule) -> str:
    if rule.op in MEASURES:
        figure = {"sum": "sum", "average": "average", "smallest": "smallest value", "largest": "largest value"}[rule.op]
        of, told = words.quote(rule.value["name"]), words.quote(words.label(rule))
        verb = f"{_SAID['en'][rule.value['op']]} {words.number(rule.value['value'])}"
        return f"for whom the {figure} of {of} over {told}{_fact(words, rule, False)}{words.window(rule)} {verb}"
    n, told = rule.value or 1, words.quote(words.label(rule))
    if rule.op == "at_least":
        times = "at least once" if n == 1 else f"at least {words.number(n)} times"
    elif n == 1:
        times = "at no time" if rule.where else "never"
    else:
        times = f"fewer than {words.number(n)} times"
    verb = f"{times} happened" if times == "never" else f"happened {times}"
    return f"for whom {told} {verb}{_fact(words, rule, False)}{words.window(rule)}"


def _happened_fr(words: Words, rule: Rule) -> str:
    if rule.op in MEASURES:
        figure = {"sum": "la somme", "average": "la moyenne", "smallest": "la plus petite valeur"}.get(
            rule.op, "la plus grande valeur"
        )
        of, told = words.quote(rule.value["name"]), words.quote(words.label(rule))
        verb = f"{_SAID['fr'][rule.value['op']]} {words.number(rule.value['value'])}"
        return f"pour qui {figure} de {of} dans {told}{_fact(words, rule, True)}{words.window(rule)} {verb}"
    n, told = rule.value or 1, words.quote(words.label(rule))
    if rule.op == "at_least":
        said = f"est arrivé au moins {'une' if n == 1 else words.number(n)} fois"
    elif n == 1:
        said = "n’est pas arrivé une seule fois" if rule.where else "n’est jamais arrivé"
    else:
        said = f"est arrivé moins de {words.number(n)} fois"
    return f"pour qui {told} {said}{_fact(words, rule, True)}{words.window(rule)}"


def _scope(rule: Rule, said: str, shown: str) -> str:
    return {"declared": said, "inferred": shown}.get(rule.where.get("origin", ""), "")


def _cares_en(words: Words, rule: Rule) -> str:
    scope = _scope(rule, ", by their own words", ", by what they read and buy")
    if "strength" in rule.where:
        scope += f", with a strength of at least {words.number(rule.where['strength'])}%"
    if rule.op in ("known", "unknown"):
        return f"who have {'some' if rule.op == 'known' else 'no'} known interest{scope}"
    named = [words.named(rule, one) for one in rule.value]
    if rule.op == "has_none":
        return f"of whom no interest in {words.several(named, 'or')} is known{scope}"
    return f"who are interested in {words.several(named, 'and' if rule.op == 'has_all' else 'or')}{scope}"


def _cares_fr(words: Words, rule: Rule) -> str:
    scope = _scope(rule, ", d’après ce qu’elles ont dit", ", d’après ce qu’elles lisent et achètent")
    if "strength" in rule.where:
        scope += f", avec une force d’au moins {words.number(rule.where['strength'])}\u202f%"
    if rule.op in ("known", "unknown"):
        some = "dont un centre d’intérêt est connu" if rule.op == "known" else "dont aucun centre d’intérêt n’est connu"
        return some + scope
    named = [words.named(rule, one) for one in rule.value]
    if rule.op == "has_none":
        return f"dont aucun intérêt pour {words.several(named, 'ni')} n’est connu{scope}"
    return f"qui s’intéressent à {words.several(named, 'et' if rule.op == 'has_all' else 'ou')}{scope}"


def _reason_en(words: Words, rule: Rule) -> str:
    whose = "who gave" if rule.field.kind == "answered" else "who have gone quiet for"
    scope = _scope(rule, ", by their own words", ", as far as it can be told")
    if rule.op in ("known", "unknown"):
        if rule.field.kind == "answered":
            return f"who gave {'a' if rule.op == 'known' else 'no'} reason for their silence"
        return f"who have gone quiet for a reason that is {'' if rule.op == 'known' else 'not '}known{scope}"
    named = words.several([words.named(rule, one) for one in rule.value], "or")
    if rule.op == "not_in":
        whose = "who did not give" if rule.field.kind == "answered" else "who have not gone quiet for"
    return f"{whose} the reason {named}{scope}"


def _reason_fr(words: Words, rule: Rule) -> str:
    scope = _scope(rule, ", d’après ce qu’elles ont dit", ", pour autant qu’on puisse le savoir")
    if rule.op in ("known", "unknown"):
        if rule.field.kind == "answered":
            return (
                "qui ont dit pourquoi elles se taisent"
                if rule.op == "known"
                else "qui n’ont pas dit pourquoi elles se taisent"
            )
        known = "pour une raison connue" if rule.op == "known" else "sans raison connue, ou qui ne se taisent pas"
        return f"qui se taisent {known}{scope}"
    named = words.several([words.named(rule, one) for one in rule.value], "ou" if rule.op == "in" else "ni")
    if rule.field.kind == "answered":
        return f"{'qui ont' if rule.op == 'in' else 'qui n’ont pas'} donné la raison {named}{scope}"
    return f"{'qui se taisent' if rule.op == 'in' else 'qui ne se taisent pas'} pour la raison {named}{scope}"


def _habit_en(words: Words, rule: Rule) -> str:
    named = words.several([words.named(rule, one) for one in rule.value], "or")
    return f"of whom it {'shows' if rule.op == 'in' else 'does not show'} that the person {named}"


def _habit_fr(words: Words, rule: Rule) -> str:
    named = words.several([words.named(rule, one) for one in rule.value], "ou" if rule.op == "in" else "ni")
    return f"dont il {'se voit' if rule.op == 'in' else 'ne se voit pas'} que la personne {named}"


def _rhythm_en(words: Words, rule: Rule) -> str:
    times = "" if rule.value == 1 else f"{words.number(rule.value)} times "
    return f"who {'did' if rule.op == 'within' else 'did not do'} something within {times}their own rhythm"


def _rhythm_fr(words: Words, rule: Rule) -> str:
    times = "leur propre rythme" if rule.value == 1 else f"{words.number(rule.value)} fois leur propre rythme"
    return f"{'qui ont' if rule.op == 'within' else 'qui n’ont pas'} réagi en {times}"


def _coded_en(words: Words, rule: Rule) -> str:
    if rule.op in ("known", "unknown"):
        return f"who placed {'an' if rule.op == 'known' else 'no'} order{words.window(rule)}"
    share = f"{'at least' if rule.op == 'gte' else 'less than'} {words.number(rule.value)}%"
    return f"who placed {share} of their orders{words.window(rule)} with a code"


def _coded_fr(words: Words, rule: Rule) -> str:
    if rule.op in ("known", "unknown"):
        return f"{'qui ont' if rule.op == 'known' else 'qui n’ont pas'} passé de commande{words.window(rule)}"
    share = f"{'au moins' if rule.op == 'gte' else 'moins de'} {words.number(rule.value)}\u202f%"
    return f"qui ont passé {share} de leurs commandes{words.window(rule)} avec un code"


_KINDS: dict[str, tuple[Callable[[Words, Rule], str], Callable[[Words, Rule], str]]] = {
    "happening": (_happened_en, _happened_fr),
    "order_share": (_coded_en, _coded_fr),
    "interest": (_cares_en, _cares_fr),
    "reason": (_reason_en, _reason_fr),
    "answered": (_reason_en, _reason_fr),
    "habit": (_habit_en, _habit_fr),
    "rhythm": (_rhythm_en, _rhythm_fr),
}
KINDS = frozenset(_KINDS)


def say(words: Words, rule: Rule, language: str) -> str:
    """The rule as a relative clause."""
    return _KINDS[rule.field.kind][language == "fr"](words, rule)
