"""Signs that lie in the shape of a letter and not in its words: who it claims to be beside who writes, where it leads
beside where its sender is at home, what nobody sees, and what is only a picture.

Each is seen in honest letters, too; so most have points that hold nothing alone, and words count only where the shape
gives a reason to listen to them (`levers.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from envol.wire.fraud import levers, links, names

_HIDDEN_WORDS = 40  # a line of preview for mail programs has at most thirty
_PICTURE_ONLY = 60  # characters beside a picture that is the whole letter
_SHORT = 90  # words
_GLANCE = 30  # words
_LONG = 300  # words: fraud that wants an answer is shorter
_MOST_TEXT = 4000
_FREE_LETTERS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the judge knows when it asks for the shape.

    away: hosts that belong neither to the sender, nor to everybody, nor to a known name. home: does a link lead to the
    sender's own pages? hosts: all that it links to. claimed: was a borrowed name found already?
    known: does she write under a name of her organisation (`is_known`)?
    """

    name: str
    domain: str
    local: str
    reply_to: str
    own: frozenset[str]
    text: str
    words: Sequence[str]
    page: links.Page | None
    away: frozenset[str]
    home: bool
    hosts: frozenset[str]
    claimed: bool
    brand: str
    locked: bool
    known: bool = False


_SMALL = frozenset(["aux", "del", "der", "des", "die", "for", "les", "los", "the", "und", "von"])
"""Words of three letters that initials leave out."""


@lru_cache(4096)
def stranger(name: str, local: str, domain: str) -> float:
    """How little a sender's name has to do with its address: 0 (shares a word), 1 (says an office and nobody), 2."""
    told = [word for word in _FREE_LETTERS.split(names.plain(name)) if len(word) > 2]
    spoken = [word for word in told if word not in names.office()]
    label = _short(_FREE_LETTERS.sub("", names.plain(names.shown(names.registrable(domain)).split(".")[0])))
    home = f"{label} {_short(_FREE_LETTERS.sub('', names.plain(domain)))}"
    mailbox = _short(_FREE_LETTERS.sub("", names.plain(local)))
    joined = _short("".join(_FREE_LETTERS.split(names.plain(name))))
    if any(word in home for word in map(_short, told) if len(word) > 3 or word == label) or (
        len(label) > 3 and label in joined
    ):
        return 0
    if any(_short(word) in mailbox for word in spoken if len(word) > 3 and not _says_a_thing(word)):
        return 0  # a person, or the mailbox's own name; payroll@ says nobody
    if spoken and mailbox == joined and not any(map(_says_a_thing, spoken)):
        return 0  # Zoé, zoe@
    if any(len(part) > 4 and _short(part) in joined for part in names.plain(domain).split(".")[0].split("-")):
        return 0  # Stadtbücherei, buecherei-lind
    if any(_short(word)[:4] in label for word in spoken if len(word) > 5):
        return 0  # Stadtwerke Aue, stadtw-aue
    initials = "".join(word[0] for word in _FREE_LETTERS.split(names.plain(name)) if word)
    if len(initials) > 1 and label.startswith(initials):
        return 0
    short = "".join(word[0] for word in told if word not in _SMALL)  # Mutuelle des Artisans du Sud, mas-assurances
    if len(short) > 2 and label.startswith(short):
        return 0
    return 2 if any(not _says_a_thing(word) for word in spoken) else 1


def is_known(name: str, known: Iterable[str]) -> bool:
    """Is this one of the names of the organisation, or one with somebody's beside it (Zoé – Disques de Bob)? A name of
    offices alone (Service client) is nobody's."""
    said = _spoken(name)
    return any(theirs and theirs <= said for theirs in map(_spoken, known))


@lru_cache(4096)
def _spoken(name: str) -> frozenset[str]:
    """Words of a name that say who it is; none where it speaks for an office or a service alone."""
    told = frozenset(word for word in _FREE_LETTERS.split(names.plain(name)) if len(word) > 2)
    return told if any(word not in names.office() and not _says_a_thing(word) for word in told) else frozenset()


def _short(word: str) -> str:
    """Bücherei and buecherei are one word."""
    return word.replace("ae", "a").replace("oe", "o").replace("ue", "u")


def _says_a_thing(word: str) -> bool:
    return bool(levers.classes_of(word) - {"claim"})


def kin(host: str, domain: str) -> bool:
    """Does a host carry the sender's own name (boutique-mail.example, boutique.provider.example)?"""
    label = names.registrable(domain).split(".")[0]
    parts = host.split(".")[:-1]
    if len(label) > 3 and any(
        part == label or part.startswith(f"{label}-") or part.endswith(f"-{label}") for part in parts
    ):
        return True
    # aulnay-ecoles is aulnay.portal.example: its place or name, as a customer of whoever keeps the page
    own = {word for word in label.split("-") if len(word) > 4 and word not in names.office()}
    return any(part in own and not levers.classes_of(part) for part in parts[:-1])


def made_for_it(host: str) -> bool:
    """A domain put together of words of service (espace-suivi, inbox-files) or of three words and more, as those that
    fraud registers for a week."""
    label = names.shown(names.registrable(host)).split(".")[0]
    parts = [part for part in re.split(r"[-_]+", names.plain(label)) if part]
    serves = any(part in names.office() or bool(levers.classes_of(part) & _SERVICE) for part in parts)
    return len(parts) > 1 and (serves or len(parts) > 2)


@lru_cache(4096)
def claims(name: str) -> float:
    """How much a name speaks for an office, a bank or a service: 0 (as people are called), 1, or 1.5 (says so)."""
    told = [word for word in _FREE_LETTERS.split(names.plain(name)) if word]
    if any("claim" in levers.classes_of(word) for word in told):
        return 1.5
    serves = any(word in names.office() or levers.classes_of(word) for word in told)
    person = len(told) in (2, 3) and not serves and not re.search(r"\d", name)
    return 0 if person or not told else 1


@lru_cache(4096)
def only_service(domain: str) -> bool:
    """A domain that says services and nobody (secure-mailbox-team): a name that agrees with it proves nothing."""
    label = names.plain(names.shown(names.registrable(domain)).split(".")[0])
    parts = [part for part in re.split(r"[-_]+", label) if part]
    return len(parts) > 2 and all(
        part in names.office() or levers.classes_of(part) & (_SERVICE | {"claim", "you"}) or len(part) < 4
        for part in parts
    )


def set_up(host: str) -> bool:
    """A host below a domain, of two words and more of which one is of service (posti-maksu, mbank.odblokuj)."""
    base = names.registrable(host)
    parts = [part for part in re.split(r"[-_.]+", names.plain(host[: -len(base)])) if part and part != "www"]
    return len(parts) > 1 and any(part in names.office() or levers.classes_of(part) & _SERVICE for part in parts)


_SERVICE = frozenset({"act", "thing", "secret", "bank"})


def signs(seen: Seen) -> list[tuple[str, float, str]]:
    """(rule, points, what) of every sign."""
    page = seen.page
    found = _page(page, seen) if page is not None else []
    scans = page is not None and page.pictures > 0
    answers = not seen.away and not seen.home and len(seen.words) < _LONG
    foreign = 0 if seen.known else stranger(seen.name, seen.local, seen.domain)
    service = not foreign and only_service(seen.domain)
    broken = bool((foreign or service) and not seen.away and seen.home and not seen.claimed)
    if not (seen.away or scans or answers or broken or seen.locked):
        return found
    pulled = levers.Levers(seen.words)
    picture = any(rule == "only_picture" for rule, _, _ in found)
    free = bool(seen.reply_to) and _elsewhere(seen)
    trusting = 1 if foreign else 0.5  # whoever writes in her own name is mostly she
    strange = ("strange_name", foreign, seen.name[:100] or "–")
    before = len(found)
    if service and pulled.near("act", "thing"):
        found.append(("made_host", 3 + pulled.has("press"), seen.domain))
    if seen.away:
        found += _away(pulled, seen, trusting * (0.5 if seen.home else 1), picture)
    if scans and pulled.near("scan", "thing", within=20) and pulled.has("act"):
        found.append(("asks_to_scan", 4 if pulled.has("press") else 2.5, ""))
    if broken and foreign:
        found += _broken_home(pulled, seen, foreign)
    if answers:
        found += _answers(pulled, seen, free, trusting)
    if foreign and len(found) > before:
        found.append(strange)
    if levers.SEED.search(seen.text) and pulled.has("act") and not pulled.has("warning"):
        found.append(("seed_words", 5, ""))
    if seen.locked and levers.TOLD_PASSWORD.search(seen.text):
        found.append(("told_password", 3, ""))
    return found


def _away(pulled: levers.Levers, seen: Seen, share: float, picture: bool) -> list[tuple[str, float, str]]:
    """A letter that leads away. A link in a short one is what it wants of her, whatever it says; where links lead home
    as well, everything counts less."""
    press, thing = pulled.has("press"), pulled.has("thing")
    short = pulled.count < _SHORT
    if not (short or pulled.pressed()):
        return []
    secret = pulled.has("secret") and not pulled.near("secret", "warning", within=20)
    money = bool(levers.MONEY.search(seen.text[:_MOST_TEXT]))
    wants = short + thing + press + 0.5 * money + 0.5 * pulled.near("act", "thing")
    found: list[tuple[str, float, str]] = []
    made = next((host for host in sorted(seen.away) if made_for_it(host)), "")
    if pulled.count < _GLANCE and pulled.near("lure", "you", within=8):
        found.append(("lure", 4.5, ""))
    if wants >= 2 or picture or secret or made or seen.brand:
        found.append(("leads_away", wants * share, sorted(seen.away)[0]))
        if made:
            found.append(("made_host", 2 * (0.5 if seen.home else 1), made))
        if secret:
            found.append(("secret_away", 3 * max(share, 0.8), ""))
        if seen.brand and not seen.claimed:
            found.append(("brand_in_text", 3 * (0.5 if seen.home else 1), seen.brand))
    return found


def _elsewhere(seen: Seen) -> bool:
    """Do answers go to a mailbox of everybody, or to a domain that has nothing to do with the sender's?"""
    local, _, domain = seen.reply_to.lower().rpartition("@")
    label = _FREE_LETTERS.sub("", names.registrable(seen.domain).split(".")[0])
    if len(label) > 3 and label in _FREE_LETTERS.sub("", local):
        return False  # kasse.svblau@ for sv-blau
    if links.is_mailbox_host(domain):
        return not links.is_mailbox_host(seen.domain)
    return names.registrable(domain) not in seen.own and not kin(domain, seen.domain)


def _broken_home(pulled: levers.Levers, seen: Seen, foreign: float) -> list[tuple[str, float, str]]:
    """A letter under somebody else's name that leads to the sender's own pages: fraud from a site that was broken into
    looks so, and a member who writes for her club. Only what it wants tells them apart, and a host set up for it."""
    host = next((host for host in sorted(seen.hosts) if names.registrable(host) in seen.own and set_up(host)), "")
    office = claims(seen.name)
    if not office and not host:
        return []
    wants = (
        (office if foreign > 1 else 0.5)  # every house has a support
        + 1.5 * pulled.near("act", "thing")
        + pulled.has("press")
        + 1.5 * pulled.has("secret")
        + 0.5 * bool(levers.MONEY.search(seen.text[:_MOST_TEXT]))
        + 0.5 * (pulled.count < _SHORT)
        - 2 * pulled.has("warning")
        - bool(levers.GREETING.search(seen.text[:_MOST_TEXT]))
    )
    if wants < 2 and not host:
        return []
    found = [("broken_home", max(0.0, wants), seen.domain)]
    if host:
        found.append(("made_host", 2, host))
    return found


def _page(page: links.Page, seen: Seen) -> list[tuple[str, float, str]]:
    found: list[tuple[str, float, str]] = []
    away = [host for host in page.form_hosts if host and names.registrable(host) not in seen.own]
    if away:
        found.append(("form_away", 4, away[0]))
    if page.frame:
        found.append(("frame", 5 if page.frame == "refresh" else 3, page.frame))
    if len(page.hidden) >= _HIDDEN_WORDS and len(page.hidden) > page.seen / 2:
        found.append(("hidden_text", 3, ""))
    if page.pictures and len(re.sub(r"\W", "", page.text)) < _PICTURE_ONLY and seen.away and not seen.home:
        found.append(("only_picture", 3, ""))
    return found


def _answers(pulled: levers.Levers, seen: Seen, free: bool, share: float) -> list[tuple[str, float, str]]:
    """Fraud without a link wants an answer, a call or a transfer. free: answers go to a mailbox of everybody."""
    found: list[tuple[str, float, str]] = []
    text = seen.text[:_MOST_TEXT]
    money, phone = levers.MONEY.search(text), levers.PHONE.search(text)
    if free and pulled.count < _SHORT:
        pays = bool(money) or pulled.has("paying")
        if pulled.has("quiet") and (pays or pulled.near("answer", "favour", within=30)):
            found.append(("wants_answer", 5, seen.reply_to))
        elif pulled.near("answer", "favour", within=30):
            found.append(("wants_answer", 3, seen.reply_to))
        elif pays and pulled.has("press") and (pulled.has("favour") or levers.LARGE.search(text)):
            found.append(("wants_answer", 5, seen.reply_to))
    if (free or pulled.has("quiet")) and pulled.near("gift", "proof", within=20):
        found.append(("wants_gift", 5, ""))
    if free and money and pulled.has("misery") and pulled.has("answer"):
        found.append(("misery", 5, ""))
    if (
        free
        and pulled.count < _SHORT
        and pulled.near("romance", "answer", within=40)
        and pulled.near("romance", "lure", within=40)
    ):
        found.append(("romance", 5, ""))
    if levers.COINS.search(seen.text) and pulled.has("paying"):
        found.append(("coins", 5, ""))
    told = pulled.has("whoami")
    if pulled.has("fortune") and (money or free or told) and pulled.has("answer"):
        found.append(("fortune", 5 if free or told else 3, ""))
    if pulled.has("prize") and money and levers.LARGE.search(text) and (free or pulled.many("whoami", 4)):
        found.append(("prize", 5, money[0].strip()))
    if pulled.near("newbank", "bank", within=6) and pulled.near("bank", "paying", within=20):
        found.append(("new_bank", 5 if levers.IBAN.search(text) else 2, ""))
    if phone and pulled.near("newbank", "call", within=8) and pulled.has("paying"):
        found.append(("new_number", 4 * share, phone[0].strip()))
    if money and phone and pulled.near("charged", "call", within=50):
        called = bool(levers.GREETING.search(text))
        found.append(("call_about_money", 2.5 if called else 4, phone[0].strip()))
    if pulled.near("law", "guilt", within=25) and pulled.has("press"):
        found.append(("law", 5 if pulled.has("answer") else 3, ""))
    if money and pulled.near("work", "often") and pulled.near("work", "easy", within=25):
        found.append(("easy_work", 5 if pulled.has("messenger") else 3, ""))
    return found
