"""The judge: points for what a letter shows, and what they add up to.

One sign proves nothing: shops shorten links, banks speak of accounts, people are called Visa. So signs have points, and
only together, or when they are grave, they hold a letter (5) or refuse it (10).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from envol.wire.fraud import files, learnt, links, names, phrases, shape

ALLOW, HOLD, REFUSE = "allow", "hold", "refuse"
HOLD_FROM, REFUSE_FROM = 5.0, 10.0
MOST_TEXT = 100_000


@dataclass(slots=True)
class Letter:
    """What is judged. own: registrable domains of the sender's organisation, beside that of the address. ours: hosts of
    the platform, to which every letter links: they say nothing about whom it leads to. known: names under which the
    organisation is known here; a letter under one of them comes from no stranger, whatever its domain is called.

    files: (name, content). reply_to: an address, or empty.
    """

    name: str
    address: str
    subject: str
    text: str = ""
    html: str = ""
    reply_to: str = ""
    files: list[tuple[str, bytes]] = field(default_factory=list)
    own: frozenset[str] = frozenset()
    ours: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Reason:
    """rule: its name, for whom words are found elsewhere. what: the host, brand, file or word it is about."""

    rule: str
    points: float
    what: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """language: of the letter, as far as it can be told."""

    action: str
    points: float
    reasons: tuple[Reason, ...] = ()
    language: str = ""

    def and_also(self, others: Iterable[Reason]) -> Verdict:
        """With reasons from elsewhere (the habits of a key, a second opinion): then nothing speaks for the letter."""
        return verdict_of([*(reason for reason in self.reasons if reason.points > 0), *others], self.language)


def verdict_of(reasons: Iterable[Reason], language: str = "") -> Verdict:
    """What reasons add up to, the gravest first."""
    listed = tuple(sorted(reasons, key=lambda reason: -reason.points))
    points = sum(reason.points for reason in listed)
    action = REFUSE if points >= REFUSE_FROM else HOLD if points >= HOLD_FROM else ALLOW
    return Verdict(action, points, listed, language)


def _nothing(_host: str) -> str:
    return ""


def judge(letter: Letter, blocked: Callable[[str], str] = _nothing, taught: learnt.Book | None = None) -> Verdict:
    """Judge a letter. blocked: the entry of a list of bad hosts that covers a host, or nothing. taught: other weights
    than those that Envol ships, while they are learnt."""
    opened = _open(letter)
    domain, own, page, text, words = opened.domain, opened.own, opened.page, opened.text, opened.words
    different = frozenset(words)
    found = opened.found
    reasons = _sender(letter, domain)
    trail, foreign = _links(found, own, domain, blocked)
    reasons += trail
    said = phrases.said(words, different)
    hosts = {link.host for link in found if link.host and link.host not in letter.ours}
    home = any(names.registrable(host) in own or shape.kin(host, domain) for host in hosts)
    hidden = any(r.rule in _HIDDEN for r in trail)
    brands = [b for b in names.named(words, different) if not b.common and not b.owns(domain)]
    reasons += _spoken(letter, domain, said, brands, foreign, home, bool(reasons), hidden)
    reasons += _page(page)
    reasons += _files(letter)
    reasons += _shape(letter, opened, brands, foreign, home, frozenset(hosts), reasons)
    odd = names.mixed(letter.name) or names.mixed(letter.subject)
    if odd:
        reasons.append(Reason("mixed_letters", 5, odd))
    elif names.mixed(text):
        reasons.append(Reason("mixed_letters", 3, names.mixed(text)))
    reasons += _learnt(letter, opened, reasons, taught or learnt.book())
    return verdict_of(reasons, phrases.language_of(different))


@dataclass(frozen=True, slots=True)
class _Opened:
    """A letter as it is read. found: its links. own: its organisation's domains and the platform's."""

    domain: str
    own: frozenset[str]
    page: links.Page | None
    text: str
    words: list[str]
    found: list[links.Link]


def _open(letter: Letter) -> _Opened:
    domain = letter.address.rpartition("@")[2].lower()
    own = letter.own | {names.registrable(domain)} | {names.registrable(host) for host in letter.ours}
    page = links.page_of(letter.html) if letter.html else None
    text = f"{letter.subject}\n{page.text if page else ''}\n{letter.text}"[:MOST_TEXT]
    found = (page.links if page else []) + links.links_of(letter.text)
    return _Opened(domain, own, page, text, phrases.words_of(names.plain(text)), found)


def traits_of(letter: Letter) -> learnt.Traits:
    """What `learnt` weighs of a letter."""
    return _traits(letter, _open(letter))


def _traits(letter: Letter, opened: _Opened) -> learnt.Traits:
    return learnt.traits(
        letter.name,
        letter.address,
        letter.subject,
        opened.text,
        opened.words,
        opened.found,
        opened.own,
        reply_to=letter.reply_to,
        ours=letter.ours,
        known=shape.is_known(letter.name, letter.known),
    )


def _learnt(letter: Letter, opened: _Opened, reasons: list[Reason], book: learnt.Book) -> list[Reason]:
    """What is learnt from other letters weighs with all else: it may hold a letter, but it refuses none, and it speaks
    for one only against names, words and shape, never against a file, a borrowed host or a false link."""
    points = sum(reason.points for reason in reasons)
    if points >= REFUSE_FROM:
        return []
    seen = _traits(letter, opened)
    weighed = learnt.points(book.odds(seen))
    given = min(weighed, REFUSE_FROM - 0.5 - points)
    if given >= learnt.TOLD:
        return [Reason("learnt_fraud", round(given, 2), ", ".join(book.loudest(seen, opened.text, opened.words))[:200])]
    if weighed < 0 < points and not any(reason.rule.startswith(_SEEN) for reason in reasons):
        weighed = max([weighed, *(learnt.points(book.odds(one)) for one in learnt.later(seen, opened.words))])
        return [Reason("learnt_honest", round(weighed, 2))] if weighed < 0 else []
    return []


_SEEN = (
    "file_",
    "brand_domain",
    "brand_link",
    "mixed_",
    "mismatch",
    "blocked_",
    "asks_password",
    "form",
    "script",
    "disguised_",
    "program_",
)
"""How rules begin that saw something that no words explain."""
_HIDDEN = frozenset({"short_link", "free_host", "thrown_away", "address_link"})


def _sender(letter: Letter, domain: str) -> list[Reason]:
    reasons: list[Reason] = []
    if names.of_family(letter.name, domain):
        return [Reason("brand_name", 2, letter.name[:100])]  # most are; a few only say so
    brand = names.named_sender(letter.name)
    if brand and not brand.owns(domain):
        reasons.append(Reason("brand_name", 2 if names.among_others(letter.name, brand) else 6, brand.name))
    borrowed = names.borrowed(domain)
    if borrowed:
        reasons.append(Reason("brand_domain", 6, f"{names.shown(domain)} ({borrowed[0]})"))
    elif names.mixed(names.shown(domain)):
        reasons.append(Reason("mixed_domain", 5, names.shown(domain)))
    elif names.only_an_office(domain):
        reasons.append(Reason("office_domain", 1, domain))
    return reasons


def _shape(
    letter: Letter,
    opened: _Opened,
    brands: list[names.Brand],
    foreign: set[str],
    home: bool,
    hosts: frozenset[str],
    reasons: list[Reason],
) -> list[Reason]:
    rules = {reason.rule for reason in reasons}
    seen = shape.Seen(
        letter.name,
        opened.domain,
        letter.address.rpartition("@")[0],
        letter.reply_to,
        opened.own,
        opened.text,
        opened.words,
        opened.page,
        frozenset(host for host in foreign if not any(b.owns(host) for b in names.brands())),
        home,
        hosts,
        bool(rules & {"brand_name", "brand_domain", "brand_link", "brand_in_text"}),
        brands[0].name if brands else "",
        bool(rules & {"file_locked", "file_archive", "file_page"}),
        shape.is_known(letter.name, letter.known),
    )
    found = shape.signs(seen)
    # Shape proves nothing: it holds a letter for somebody to look at, and never refuses one by itself.
    room, total = REFUSE_FROM - 0.5 - sum(reason.points for reason in reasons), sum(points for _, points, _ in found)
    share = min(1.0, room / total) if room > 0 and total else 1.0
    return [Reason(rule, round(points * share, 2), what) for rule, points, what in found]


def _links(
    found: list[links.Link], own: frozenset[str] | set[str], domain: str, blocked: Callable[[str], str]
) -> tuple[list[Reason], set[str]]:
    """Reasons, each rule once, and the hosts that belong neither to the sender nor to everybody."""
    best: dict[str, Reason] = {}
    foreign: set[str] = set()
    hosts: set[str] = set()

    def add(rule: str, points: float, what: str) -> None:
        if rule not in best or best[rule].points < points:
            best[rule] = Reason(rule, points, what[:200])

    for link in found:
        host = link.host
        scheme = link.target.lower().lstrip()[:11]
        if scheme.startswith(("javascript:", "data:text", "vbscript:")):
            add("script_link", 6, scheme.partition(":")[0])
            continue
        if not host:
            continue
        if link.shown:
            _mismatch(link, own, add)
        if "@" in link.target.split("//", 1)[-1].split("/", 1)[0]:
            add("disguised_link", 6, link.target[:100])
        hosts.add(host)
        if names.registrable(host) not in own and files.is_program_name(link.target.partition("?")[0]):
            add("program_link", 6, link.target[:100])
    for host in hosts:
        entry = blocked(host)
        if entry:
            add("blocked_link", 10, entry)
        base = names.registrable(host)
        if base in own:
            continue
        kind = links.kind_of(host)
        if links.is_address(host):
            add("address_link", 4, host)
            foreign.add(host)
        elif kind == "shorteners":
            add("short_link", 2, host)
            foreign.add(host)
        elif kind == "free":
            add("free_host", 2, host)
            foreign.add(host)
        elif not kind and not shape.kin(host, domain):
            foreign.add(host)
            if links.thrown_away(host):
                add("thrown_away", 1, host)
        if borrowed := names.borrowed(host):
            add("brand_link", 2 if borrowed[1] == "abroad" else 6, f"{names.shown(host)} ({borrowed[0]})")
        elif names.mixed(names.shown(host)):
            add("mixed_domain", 5, names.shown(host))
    return list(best.values()), foreign


def _mismatch(link: links.Link, own: frozenset[str] | set[str], add: Callable[[str, float, str], None]) -> None:
    pretended, real = names.registrable(link.shown), names.registrable(link.host)
    if pretended == real or "." not in pretended:
        return
    brand = next((b for b in names.brands() if b.owns(link.shown)), None)
    if brand and not brand.owns(link.host) and not (real in own and links.kind_of(link.shown) == "everyday"):
        add("mismatch", 6, f"{link.shown} → {link.host}")
    elif pretended in own:
        add("mismatch", 1, f"{link.shown} → {link.host}")
    elif real not in own:
        add("mismatch", 3, f"{link.shown} → {link.host}")


def _spoken(
    letter: Letter,
    domain: str,
    said: list[phrases.Group],
    brands: list[names.Brand],
    foreign: set[str],
    home: bool,
    suspicious: bool,
    hidden: bool,
) -> list[Reason]:
    """What is said counts whole where it leads away, or leads nowhere and wants an answer; half where every link is
    the sender's own."""
    if not said:
        return []
    theirs = {host for host in foreign if any(b.owns(host) for b in names.brands())}
    away = foreign - theirs
    freemail = bool(letter.reply_to) and links.is_mailbox_host(letter.reply_to.rpartition("@")[2].lower())
    elsewhere = bool(away or suspicious or freemail or letter.files)
    # Where no link leads anywhere, the answer, or a call, is what they want.
    share = "linked" if home and not away else "own"
    # Who writes in her own name, of no other, and leads to a third is mostly honest.
    whole = (
        1.0 if suspicious or brands or shape.stranger(letter.name, letter.address.rpartition("@")[0], domain) else 0.75
    )
    reasons = [
        Reason(f"says_{group.name}", group.points * max(getattr(group, share), whole if elsewhere else 0))
        for group in said
    ]
    total = sum(reason.points for reason in reasons)
    if elsewhere and (len(said) > 1 or hidden):
        reasons.append(Reason("says_several", 1))
    if freemail and not links.is_mailbox_host(domain) and total >= 2:
        reasons.append(Reason("answer_elsewhere", 2, letter.reply_to.rpartition("@")[2]))
    if brands and total >= 3 and (away or suspicious):
        reasons.append(Reason("brand_in_text", 3, brands[0].name))
    return reasons


def _page(page: links.Page | None) -> list[Reason]:
    if page is None:
        return []
    if page.asks_password:
        return [Reason("asks_password", 10)]
    reasons = []
    if page.has_form:
        reasons.append(Reason("form", 2))
    if page.has_script:
        reasons.append(Reason("script", 2))
    return reasons


_FILES = {"program": 10.0, "bomb": 10.0, "macro": 6.0, "page": 6.0, "locked": 5.0, "script": 5.0, "archive": 3.0}


def _files(letter: Letter) -> list[Reason]:
    best: dict[str, Reason] = {}
    for name, content in letter.files:
        for finding in files.look(name, content):
            best.setdefault(finding.rule, Reason(f"file_{finding.rule}", _FILES[finding.rule], finding.name[:200]))
    return list(best.values())
