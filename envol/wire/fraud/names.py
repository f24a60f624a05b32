"""Names that look like others: what an eye reads, brands, and domains that borrow them.

Unicode TR 39 calls what an eye reads the skeleton; ours is the part of its table that fraud uses: Cyrillic and Greek
letters, digits and pairs that pass for Latin letters. Full-width and mathematical letters fall to NFKC before.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import idna
from publicsuffixlist import PublicSuffixList

_CYRILLIC = "авсԁеһіјкӏмнорԛѕтԝхуԍѵзъьАВСЕНІЈКМОРЅТХУЗ"
_ITS_LATIN = "abcdehijklmhopqstwxygv3bbABCEHIJKMOPSTXY3"
_GREEK = "αβγεηικνορτυχωΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"
_ITS_TOO = "abyenikvoptuxwABEZHIKMNOPTYX"
_LATIN = str.maketrans(_CYRILLIC + _GREEK + "ıɑɡɩʏᴏꜱℓ", _ITS_LATIN + _ITS_TOO + "iagiyosl")
_ALIKE = str.maketrans("01345789!|$@i", "oleastbgllsal")
_INVISIBLE = re.compile("[\u200b-\u200f\u2060-\u2064\u00ad\ufeff\u034f\u061c\u180e]")
_OTHER_SCRIPT = re.compile(r"[\u0370-\u03ff\u0400-\u052f\u0131\u0251\u0261\u0269\u028f\u1d0f\ua731\u2113]")
_MIXED = re.compile(r"[^\W\d_]*(?:[A-Za-z][\u0370-\u03ff\u0400-\u052f]|[\u0370-\u03ff\u0400-\u052f][A-Za-z])[^\W\d_]*")
_SPLIT = re.compile(r"[^a-z0-9]+")


def plain(text: str) -> str:
    """Lower case without accents, in Latin letters: what an eye reads, for words. Signs of money are words."""
    if "$" in text:
        text = text.replace("$", " usd ")
    if text.isascii():
        return text.lower()
    for codec in _CODECS:
        table, gone, long = _flat(codec)
        for character, said in long:
            if character in text:
                text = text.replace(character, said)
        with suppress(UnicodeEncodeError):
            return text.encode(codec).translate(table, gone).decode("ascii")
    return _plain(text)


_CODECS = ("latin-1", "cp1252")
"""Nearly every western letter is written with the characters of one of them, and octets are looked up at once."""


@cache
def _flat(codec: str) -> tuple[bytes, bytes, tuple[tuple[str, str], ...]]:
    """`_plain` as a table of this codec: of octets, those that go, and characters that become several."""
    table, gone, long = bytearray(256), bytearray(), []
    for octet in range(256):
        character = bytes([octet]).decode(codec, "ignore")
        said = _plain(character)
        if len(said) == 1:
            table[octet] = ord(said)
        elif said:
            long.append((character, said))
        else:
            gone.append(octet)
    return bytes(table), bytes(gone), tuple(long)


def _plain(text: str) -> str:
    text = text.replace("€", " euros ").replace("£", " pounds ")
    text = _INVISIBLE.sub("", text)
    if _OTHER_SCRIPT.search(text):
        text = text.translate(_LATIN)
    return (
        unicodedata.normalize("NFKD", text)
        .replace("’", " ")
        .replace("œ", "oe")
        .encode("ascii", "ignore")
        .decode()
        .lower()
    )


def mixed(text: str) -> str:
    """The first word that mixes Latin letters with Cyrillic or Greek ones, or nothing."""
    if text.isascii() or _narrow(text) or not _OTHER_SCRIPT.search(text):
        return ""
    found = _MIXED.search(text)
    return found[0] if found else ""


def _narrow(text: str) -> bool:
    """Are all characters below U+0100? Python knows, but says so only by doing it."""
    with suppress(UnicodeEncodeError):
        text.encode("latin-1")
        return True
    return False


@lru_cache(4096)
def skeleton(label: str) -> str:
    """What an eye reads in a label of a domain: pairs and digits that pass for a letter are that letter."""
    return plain(label.replace("$", "s")).translate(_ALIKE).replace("rn", "m").replace("vv", "w")


@dataclass(frozen=True, slots=True)
class Brand:
    name: str
    words: tuple[str, ...]
    domains: frozenset[str]
    common: bool
    near: bool
    family: bool = False

    def owns(self, host: str) -> bool:
        return any(parent in self.domains for parent in parents(host))


def data(name: str) -> dict[str, Any]:
    return tomllib.loads((files("envol.wire.fraud") / f"{name}.toml").read_text("utf-8"))


@cache
def brands() -> tuple[Brand, ...]:
    return tuple(
        Brand(
            b["name"],
            tuple(b["words"]),
            frozenset(b["domains"]),
            b.get("common", False),
            b.get("near", True),
            b.get("family", False),
        )
        for b in data("brands")["brand"]
    )


@cache
def office() -> frozenset[str]:
    """Words of whoever is in charge of something."""
    return frozenset(data("brands")["office"])


@cache
def _skeletons() -> dict[str, Brand]:
    """One-word brands that may be looked for in domains, by skeleton."""
    found: dict[str, Brand] = {}
    for brand in brands():
        for word in brand.words:
            if " " not in word:
                found.setdefault(skeleton(word), brand)
    return found


@cache
def _by_first_word() -> dict[str, list[tuple[int, str, Brand]]]:
    """What brands are called, by its first word: (the brand's place in the list, the words, the brand)."""
    found: dict[str, list[tuple[int, str, Brand]]] = {}
    for place, brand in enumerate(brands()):
        for word in brand.words:
            found.setdefault(word.split()[0], []).append((place, f" {word} ", brand))
    return found


def named(words: Iterable[str], different: Set[str] | None = None) -> list[Brand]:
    """Brands that stand in these words (lower case, without accents). different: each once, where that is known."""
    listed = list(words)
    begun = (different if different is not None else set(listed)) & _by_first_word().keys()
    if not begun:
        return []
    text = f" {' '.join(listed)} "
    there = {place: brand for first in begun for place, word, brand in _by_first_word()[first] if word in text}
    return [there[place] for place in sorted(there)]


def named_sender(name: str) -> Brand | None:
    """The brand that a sender's name claims to be, or to speak for; look-alike letters count as the letters."""
    if not name:
        return None
    words = _SPLIT.sub(" ", plain(name)).split()
    rest = set(words)
    for brand in named(words):
        if not brand.common:
            return brand
        alone = rest - set(brand.words) - {"fr", "com", "france", "uk", "eu"}
        if not alone or alone <= office():
            return brand
    # P4ypal, Netfl1x, Arnazon: nobody's name is so written by chance.
    for word in words:
        alike = _skeletons().get(skeleton(word))
        if alike and not alike.common and word not in alike.words and len(word) > 4:
            return alike
    return None


def among_others(name: str, brand: Brand) -> bool:
    """Does a brand stand among words that speak of something else (an Excel Course of Leeds, a Twitter Club)?"""
    taken = {part for word in brand.words for part in word.split()} | office()
    return sum(len(word) > 3 and word not in taken for word in _SPLIT.split(plain(name))) > 1


def of_family(name: str, domain: str) -> bool:
    """Is a sender one of many houses that share a name, each with a place of its own (Sparkasse Aue,
    sparkasse-aue.example)? The place stands in both, and is no word of service."""
    words = set(_SPLIT.sub(" ", plain(name)).split())
    tokens = [token for token in _SPLIT.split(plain(shown(registrable(domain)).split(".")[0])) if token]
    for brand in named(words & _by_first_word().keys()):
        shared = {part for word in brand.words for part in word.split()}
        places = [token for token in tokens if token not in shared]
        if brand.family and places and all(place in words and place not in office() for place in places):
            return True
    return False


_psl = cache(PublicSuffixList)


@lru_cache(16384)
def registrable(host: str) -> str:
    """The part of a host that somebody registered (Public Suffix List); the host itself where there is none."""
    host = host.lower().rstrip(".")
    return _psl().privatesuffix(host) or host


def parents(host: str) -> list[str]:
    """The host and what stands above it."""
    labels = host.split(".")
    return [".".join(labels[i:]) for i in range(len(labels))]


def shown(host: str) -> str:
    """A host as a browser might show it: xn-- labels decoded."""
    if "xn--" not in host:
        return host
    labels = []
    for label in host.split("."):
        try:
            labels.append(idna.ulabel(label) if label.startswith("xn--") else label)
        except (idna.IDNAError, UnicodeError):
            labels.append(label)
    return ".".join(labels)


@lru_cache(16384)
def borrowed(host: str) -> tuple[str, str] | None:
    """The brand whose name a host borrows, and how: `alike` (paypa1), `near` (paypall), `with` (paypal-secure),
    `abroad` (paypal.pl, surely its own), `below` (paypal.com.elsewhere.example). None for a brand's own hosts."""
    base = registrable(host)
    if any(brand.owns(host) for brand in brands()):
        return None
    visible = shown(base)
    label = visible.split(".")[0]
    skeletons = _skeletons()
    whole = skeleton(label)
    found = skeletons.get(whole)
    ending = base.rpartition(".")[2]
    if found and label in found.words and len(ending) == 2 and ending not in ("tk", "ml", "ga", "cf", "gq"):
        return None if found.common else (found.name, "abroad")  # owners of names have them in every country
    if found and not (found.common and label in found.words):
        return found.name, "alike"
    tokens = [t for t in re.split(r"[-_]+", label) if t]
    if len(tokens) > 1:
        joined = skeletons.get(skeleton("".join(tokens)))
        if joined and not joined.common:
            return joined.name, "alike"
    rest = {plain(t) for t in tokens}
    for token in tokens:
        inside = skeletons.get(skeleton(token))
        if inside is None or len(tokens) == 1:
            continue
        others = {t.strip("0123456789") for t in rest - {plain(token)}} - {""}
        if (not inside.common and len(token) > 3) or any(o in office() for o in others):
            return inside.name, "with"
    for word, one in skeletons.items():
        if len(word) < 5 or one.common:
            continue
        if one.near and len(word) >= 6 and abs(len(word) - len(whole)) <= 1 and _one_apart(word, whole):
            return one.name, "near"
        if word in whole and word != whole:
            before, _, after = whole.partition(word)
            if all(not part or part.strip("-") in _office_skeletons() for part in (before, after)):
                return one.name, "with"
    below = host[: -len(base)].rstrip(".")
    if below:
        for brand in brands():
            if any(f".{domain}." in f".{host}" and "." in domain for domain in brand.domains):
                return brand.name, "below"
        for part in re.split(r"[.\-]+", below):
            if (below_it := skeletons.get(skeleton(part))) and not below_it.common and len(part) > 3:
                return below_it.name, "below"
    return None


def only_an_office(host: str) -> bool:
    """A domain that says what its owner is in charge of, and not who it is: secure-client-login."""
    tokens = registrable(host).split(".")[0].split("-")
    return len(tokens) > 1 and all(token in office() for token in tokens)


@cache
def _office_skeletons() -> frozenset[str]:
    return frozenset(skeleton(word) for word in office())


def _one_apart(a: str, b: str) -> bool:
    """One letter more, less, other, or two neighbours exchanged?"""
    if a == b:
        return False
    if len(a) == len(b):
        differ = [i for i in range(len(a)) if a[i] != b[i]]
        if len(differ) == 1:
            return True
        return (
            len(differ) == 2
            and differ[1] == differ[0] + 1
            and a[differ[0]] == b[differ[1]]
            and a[differ[1]] == b[differ[0]]
        )
    short, long = sorted((a, b), key=len)
    return any(long[:i] + long[i + 1 :] == short for i in range(len(long)))
