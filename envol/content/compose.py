"""From a version and a person to the bytes that leave.

What does not depend on the person is done once, in ``Composer``: compiled templates, one set for each way of
measuring that occurs, links that are the same for everybody, headers, and the encoded, canonical and dot-stuffed form
of all that a template says to everybody. Per person: the values that fill the gaps, a few tokens, a signature.

Measuring follows ``consent.gates.tracking_level`` for each person: ``individual`` gives a personal token,
``aggregate`` one token per link (or one pixel) of the sending, the same for all; ``none`` leaves the
original address and no pixel. Unsubscribe, preferences and web version are always personal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parseaddr
from hashlib import blake2b
from threading import Lock
from typing import Any, NamedTuple, Protocol

from envol.accounts.keys import derive
from envol.accounts.models import Workspace
from envol.audience import tiers
from envol.audience.standings import TIERS
from envol.consent.gates import Tracking, may_use, tracking_level
from envol.contacts.models import Property
from envol.contacts.sealing import opened
from envol.content import links
from envol.content.language import Templates, flat_name, flatten, plain, variables
from envol.content.links import Kind
from envol.content.markup import MARKER
from envol.content.models import Version
from envol.content.pieces import Pieces, Values
from envol.content.templates import before_body_end, marked
from envol.wire import list_headers
from envol.wire.dkim import Outline, Signer, canonical_body, sign
from envol.wire.message import Attachment, Composed, Mailbox, Skeleton, compose
from envol.wire.message.headers import date_line, message_id_line, structured_line
from envol.wire.message.layout import Filled, Layout
from envol.wire.message.seven_bit import seven_bits
from envol.wire.smtp.grammar import stuffed_lines

PERSONAL, IN_SUM, NOT = "person", "sum", "none"
_OPENS = {"individual": PERSONAL, "last_open_day": PERSONAL, "aggregate": IN_SUM}
_CLICKS = {"individual": PERSONAL, "aggregate": IN_SUM}
_MEASURING = 0b11  # the two bits tracking depends on


class Person(NamedTuple):
    """Whom a message is for. ``no``: her number in the sending; ``props``: values as stored on the contact."""

    no: int
    contact_id: int | None
    address: str
    name: str = ""
    language: str | None = None
    props: Mapping[str, Any] = {}
    allowed: int = 0
    refused: int = 0
    country: str | None = None


class ComposedMessage(NamedTuple):
    """The reverse-path and the whole message, signed, CRLF only; dot-stuffed only where it says so."""

    envelope_from: str
    data: bytes


class Parts(NamedTuple):
    """What a person reads. ``html`` is None for templates in plain text."""

    subject: str
    html: str | None
    text: str


class SendingLike(Protocol):
    """What composing reads of an outbound.Sending."""

    id: int
    kind: str
    campaign_id: int | None
    purpose_id: int | None


class Url(str):
    """An address we made ourselves: nothing in it needs escaping."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def one_line(text: str) -> str:
    """Text as one line of a header. A value is data: a line end in a first name becomes a space, never a header."""
    return text if text.isascii() and text.isprintable() else _CONTROL.sub(" ", text).strip()


def opaque(purpose: str, value: object) -> str:
    """A short name for feedback headers that only this installation can relate to its ids."""
    return blake2b(f"{purpose} {value}".encode(), key=derive("feedback names"), digest_size=6).hexdigest()


def installation() -> str:
    """The last field of Feedback-ID: the same on all mail of this installation."""
    return "ev-" + opaque("installation", "")


class Composer:
    """Composes one version for the people of one sending; safe to share between threads.

    ``sending`` None makes previews: nothing is measured and personal addresses lead nowhere. ``sender``: name, address
    and perhaps reply_to, as on the sending; ``unmeasured``: nobody's opens and clicks are, whatever she allowed.
    ``base_url``: the public address, from the settings. ``purposes``: key → mask for contact properties,
    read from the catalogue when None. Raises ValueError when the constant part cannot make a valid message.
    """

    def __init__(
        self,
        sending: SendingLike | None,
        version: Version,
        workspace: Workspace,
        sender: Mapping[str, str],
        signers: Sequence[Signer] = (),
        base_url: str = "",
        *,
        campaign_name: str = "",
        purposes: Mapping[str, int] | None = None,
        attachments: Iterable[Attachment] | None = None,
        bounce_domain: str = "",
        replies: str = "",
    ) -> None:
        self._sending, self._version, self._workspace, self._signers = sending, version, workspace, tuple(signers)
        self._base = base_url.rstrip("/")
        self._unsubscribe = f"{self._base}/{links.PATHS[Kind.UNSUBSCRIBE]}/"
        self._domain = sender["address"].rpartition("@")[2].lower()
        self._bounce_domain = bounce_domain or self._domain
        self._leave_by_mail = bool(bounce_domain)
        self._replies = replies
        self._unmeasured = sending is None or bool(sender.get("unmeasured"))
        self._urls = {int(link["no"]): str(link["url"]) for link in version.links}
        self._raws = {int(link["no"]): str(link["raw"]) for link in version.links}
        self._subject_template = "[Test] " * (sending is not None and sending.kind == "test") + version.subject
        self._has_html = bool(version.html)
        self._templates = Templates({})
        self._variants: dict[tuple[str, str], _Variant] = {}
        self._levels: dict[tuple[int, str | None], Tracking] = {}
        self._lock = Lock()
        names = {*version.variables, *variables(self._subject_template)}
        self._purposes = _masks(workspace, names) if purposes is None else dict(purposes)
        keys = sorted({name.split(".")[1] for name in names if name.startswith("contact.")})
        self._keys = [(key, flat_name("contact", key)) for key in keys]
        self._fallbacks = {name.removeprefix("contact."): plain(value) for name, value in version.fallbacks.items()}
        self._facts = {
            flat_name("campaign", "name"): campaign_name,
            flat_name("sender", "name"): sender.get("name", ""),
            flat_name("sender", "address"): sender["address"],
            flat_name("workspace", "title"): workspace.title,
            flat_name("workspace", "postal_address"): workspace.postal_address,
        }
        self._tiers = _Tiers(workspace) if any(name.startswith("tier.") for name in names) else None
        self._wants_today = "today" in names
        self._zone = workspace.zone
        self._urls_wanted = [
            (name, kind)
            for name, kind in (
                ("unsubscribe_url", Kind.UNSUBSCRIBE),
                ("preferences_url", Kind.PREFERENCES),
                ("web_version_url", Kind.WEB),
                ("survey_url", Kind.SURVEY),
            )
            if name in names
        ]
        tier_names = self._tiers.names if self._tiers else ()
        shown = {
            *self._facts,
            *tier_names,
            "language",
            *[name for _, name in self._keys],
            *(["today"] if self._wants_today else []),
        }
        self._known = frozenset(shown)
        self._subject = self._pieces("subject.txt", self._subject_template, [])
        if attachments is None:
            attachments = [] if version.pk is None else stored_attachments(version)
        self._headers = self._constant_headers(sender)
        self._headers["attachments"] = list(attachments)
        self._variant(NOT, NOT)  # what is wrong with the constant part is said here, not at the first person

    def _constant_headers(self, sender: Mapping[str, str]) -> dict[str, Any]:
        sending, workspace = self._sending, self._workspace
        reply_to = sender.get("reply_to") or self._version.reply_to or self._replies
        headers: dict[str, Any] = {"from_name": sender.get("name", ""), "from_address": sender["address"]}
        if reply_to:
            headers["reply_to"] = [Mailbox("", reply_to)]
        if sending is not None:
            list_headers.list_unsubscribe(
                self._url(Kind.UNSUBSCRIBE, 1)
            )  # the public address must allow it: say so now
            headers["list_id"] = list_headers.list_id(f"p{sending.purpose_id or 0}.{workspace.name}.{self._domain}")
            campaign = opaque("campaign", sending.campaign_id or f"sending {sending.id}")
            headers["feedback_id"] = list_headers.feedback_id(
                campaign, opaque("workspace", workspace.id), sending.kind, installation()
            )
            if self._leave_by_mail:
                headers["cfbl_address"] = _complaints_to(self._bounce_domain, self._domain)
        return headers

    def compose(self, person: Person, now: datetime | None = None) -> ComposedMessage:
        """The message for one person; the same person and moment give the same bytes.

        Raises MissingValue or RenderProblem when the template cannot be shown for her, ValueError when her address
        cannot stand in a header.
        """
        reverse_path, head, filled = self._compose(person, now)
        return ComposedMessage(reverse_path, b"".join([*head, filled.body]))

    def encoded(self, person: Person, now: datetime | None = None) -> ComposedMessage:
        """The same, dot-stuffed and with the final dot, as it travels after DATA."""
        reverse_path, head, filled = self._compose(person, now)
        # No header line begins with a dot, and every body ends its last line.
        return ComposedMessage(reverse_path, b"".join([*head, filled.stuffed, b".\r\n"]))

    def _compose(self, person: Person, now: datetime | None) -> tuple[str, list[bytes], Filled]:
        """The reverse-path, the header with the empty line after it, and the body."""
        if self._sending is None:
            raise ValueError("A preview has no recipient: compose for a sending.")
        now = now or datetime.now(UTC)
        variant = self._variant(*self._measures(person))
        tokens = variant.tokens(person.no)
        subject, html, text = self._values(variant, person, tokens, now)
        leave = tokens[_UNSUBSCRIBE].decode("ascii")
        by_mail = links.unsubscribe_address(leave, self._bounce_domain) if self._leave_by_mail else None
        header = variant.skeleton.header(
            to_name=one_line(person.name)[:200],
            to_address=person.address,
            subject=one_line(self._subject.text(subject)),
            message_id=f"{tokens[_MESSAGE].decode('ascii')}@{self._domain}",
            date=now,
            list_unsubscribe_url=f"{self._unsubscribe}{leave}",
            list_unsubscribe_mailto=f"{by_mail}?subject=unsubscribe" if by_mail else None,
        )
        if variant.layout is not None:
            filled = variant.layout.fill([*text, *html])
        else:
            whole = variant.html.text(html) if variant.html else None
            body = variant.skeleton.body(variant.text.text(text), whole)
            filled = Filled(body, canonical_body(body, composed=True), stuffed_lines(body))
        reverse_path = links.return_path(self._sending.id, person.no, self._bounce_domain)
        if not self._signers:
            return reverse_path, [*header, b"\r\n"], filled
        outline = variant.outlines.get(len(header))
        if outline is None:
            outline = variant.outlines[len(header)] = Outline(header)
        signatures = outline.sign(header, filled.canonical, self._signers, int(now.timestamp()))
        return reverse_path, [signatures, *header, b"\r\n"], filled

    def parts(self, person: Person, *, now: datetime | None = None, pixel: bool = True) -> Parts:
        """Subject and texts as this person gets them. ``pixel`` False: for a page, which is no opened mail.

        Sending, preview and web version all take `_values`, the one place where templates meet people.
        """
        opens, clicks = self._measures(person)
        variant = self._variant(opens if pixel else NOT, clicks)
        subject, html, text = self._values(variant, person, variant.tokens(person.no), now)
        whole = variant.html.text(html) if variant.html else None
        return Parts(one_line(self._subject.text(subject)), whole, variant.text.text(text))

    def _values(
        self, variant: _Variant, person: Person, tokens: Mapping[str, bytes], now: datetime | None
    ) -> tuple[Values, Values, Values]:
        """What fills the gaps of subject, HTML and text."""
        context = self._context(person, now)
        if variant.needs_engine:
            for name, kind in self._urls_wanted:
                token = tokens[f"envol_{name}"].decode("ascii")
                context[name] = Url(f"{self._base}/{links.PATHS[kind]}/{token}")
        subject = self._subject.values(context, tokens)
        html = variant.html.values(context, tokens) if variant.html else ()
        return subject, html, variant.text.values(context, tokens)

    def _measures(self, person: Person) -> tuple[str, str]:
        if self._unmeasured:
            return NOT, NOT
        key = ((person.allowed & _MEASURING) << 2 | person.refused & _MEASURING, person.country)
        level = self._levels.get(key)
        if level is None:
            level = tracking_level(self._workspace, person.allowed, person.refused, person.country)
            self._levels[key] = level
        return _OPENS.get(level.opens, NOT), _CLICKS.get(level.clicks, NOT)

    def _context(self, person: Person, now: datetime | None) -> dict[str, Any]:
        context: dict[str, Any] = dict(self._facts)
        for key, name in self._keys:
            value = None
            if key == "email":
                value = person.address
            elif key == "language":
                value = person.language
            elif key in person.props and may_use(person.allowed, self._purposes.get(key, 0)):
                value = plain(opened(self._workspace.pk, person.props[key]))
            if value is None:
                value = self._fallbacks.get(key)
            if value is not None:
                context[name] = value
        context["language"] = (person.language or self._workspace.language).split("-")[0].lower()
        if self._tiers:
            context.update(self._tiers.of(person.contact_id, context["language"]))
        if self._wants_today:
            context["today"] = (now or datetime.now(UTC)).astimezone(self._zone).date().isoformat()
        return context

    def _token(self, kind: Kind, no: int | None) -> str:
        return "preview" if self._sending is None else links.token(kind, self._sending.id, no)

    def _url(self, kind: Kind, no: int | None) -> str:
        return f"{self._base}/{links.PATHS[kind]}/{self._token(kind, no)}"

    def _variant(self, opens: str, clicks: str) -> _Variant:
        found = self._variants.get((opens, clicks))
        if found is None:
            with self._lock:
                found = self._variants.get((opens, clicks)) or self._compile(opens, clicks)
                self._variants[opens, clicks] = found
        return found

    def _compile(self, opens: str, clicks: str) -> _Variant:
        html, text = self._version.html, self._version.text
        numbers = tuple(sorted(marked(html) | marked(text))) if clicks == PERSONAL else ()
        if clicks == IN_SUM and self._sending is not None:
            sending, base = self._sending.id, self._base
            same = {no: links.url(base, Kind.CLICK, sending, None, no) for no in self._urls}
            html, text = _put(html, same), _put(text, same)
        elif clicks == PERSONAL:
            # Only the token is a value: it has no character that escaping would change, and the rest is constant.
            own = {no: f"{self._base}/c/{{{{ envol_link_{no} }}}}" for no in self._urls}
            html, text = _put(html, own), _put(text, own)
        else:
            html, text = _put(html, self._raws), _put(text, self._urls)
        html, text = self._with_tokens(html), self._with_tokens(text)
        if self._has_html and opens != NOT:
            address = f"{self._base}/o/{{{{ envol_open }}}}" if opens == PERSONAL else self._url(Kind.OPEN, None)
            html = before_body_end(html, f'<img src="{address}" width="1" height="1" alt="" style="display:block">')
        tokens = _MessageTokens(
            None if self._sending is None else self._sending.id,
            [
                (_MESSAGE, Kind.MESSAGE, 0),
                (_UNSUBSCRIBE, Kind.UNSUBSCRIBE, 0),
                *((f"envol_{name}", kind, 0) for name, kind in self._urls_wanted),
                *((("envol_open", Kind.OPEN, 0),) if opens == PERSONAL else ()),
                *((f"envol_link_{no}", Kind.CLICK, no) for no in numbers),
            ],
        )
        parts = self._pieces(f"{opens}.{clicks}.txt", text, tokens.names)
        page = self._pieces(f"{opens}.{clicks}.html", html, tokens.names) if self._has_html else None
        # The samples settle how the parts of this very variant are encoded.
        skeleton = Skeleton(text_sample=text, html_sample=html if self._has_html else None, **self._headers)
        layout = skeleton.layout(parts.stretches, page.stretches if page else None)
        engine = self._subject.needs_engine or parts.needs_engine or bool(page and page.needs_engine)
        return _Variant(page, parts, tokens, engine, skeleton, layout, {})

    def _pieces(self, name: str, source: str, tokens: Sequence[str]) -> Pieces:
        return Pieces(self._templates, name, flatten(source), self._known, frozenset(tokens))

    def _with_tokens(self, source: str) -> str:
        """``{{ unsubscribe_url }}`` and the like as a constant and a token."""
        for name, kind in self._urls_wanted:
            own = f"{self._base}/{links.PATHS[kind]}/{{{{ envol_{name} }}}}"
            source = own.join(re.split(rf"\{{\{{\s*{name}\s*\}}\}}", source))
        return source


_MESSAGE, _UNSUBSCRIBE = "envol_message_id", "envol_unsubscribe_url"


class _MessageTokens:
    """The tokens one message needs, by name. Without a sending they lead nowhere."""

    def __init__(self, sending_id: int | None, wanted: Sequence[tuple[str, Kind, int]]) -> None:
        wanted = list({name: (name, kind, link) for name, kind, link in wanted}.values())
        self.names = [name for name, _, _ in wanted]
        self._make = None if sending_id is None else links.Tokens(sending_id, [one[1:] for one in wanted])

    def __call__(self, no: int) -> dict[str, bytes]:
        if self._make is None:
            return dict.fromkeys(self.names, b"preview")
        return dict(zip(self.names, self._make(no), strict=True))


class _Variant(NamedTuple):
    """One way of measuring, compiled. ``layout`` None: a part is in base64 and is encoded whole.

    ``outlines``: what is known of headers with so many lines, from the first of their kind.
    """

    html: Pieces | None
    text: Pieces
    tokens: _MessageTokens
    needs_engine: bool
    skeleton: Skeleton
    layout: Layout | None
    outlines: dict[int, Outline]


def _put(source: str, addresses: Mapping[int, str]) -> str:
    return MARKER.sub(lambda found: addresses[int(found.group(1))], source)


def _masks(workspace: Workspace, names: Iterable[str]) -> dict[str, int]:
    keys = [name.split(".")[1] for name in names if name.startswith("contact.")]
    found = Property.objects.filter(workspace_id=workspace.id, key__in=keys) if keys else Property.objects.none()
    return dict(found.values_list("key", "purposes"))


class _Tiers:
    """``tier.name``, ``tier.code``…: read once for a composer, since messages are made where no database is asked."""

    def __init__(self, workspace: Workspace) -> None:
        self._holders = tiers.holders(workspace)
        self._given = {
            (key, language): {
                flat_name("tier", "key"): key,
                flat_name("tier", "name"): TIERS[key][language != "fr"],
                flat_name("tier", "text"): one.text,
                flat_name("tier", "code"): one.code,
                flat_name("tier", "early_days"): str(one.early_days or ""),
            }
            for key, one in tiers.privileges(workspace).items()
            for language in ("fr", "en")
        }
        self.names = tuple(self._given["standard", "en"])

    def of(self, contact_id: int | None, language: str) -> Mapping[str, str]:
        tier = self._holders.get(contact_id or 0, "standard")
        return self._given[tier, "fr" if language == "fr" else "en"]


def stored_attachments(version: Version) -> list[Attachment]:
    return [
        Attachment(file.name, bytes(file.body), file.media_type, file.content_id or None)
        for file in version.attachments.order_by("id")
    ]


def signed(made: Composed, signers: Sequence[Signer], now: datetime, *, ours: bool) -> bytes:
    """The message with a DKIM signature of each signer above it. ``ours``: composed here, not relayed as it came."""
    if not signers:
        return made.to_bytes()
    return made.to_bytes(sign(made.headers, made.body, signers, int(now.timestamp()), composed=ours))


class MessageLike(Protocol):
    """What composing reads of an outbound.Message: ``header`` has from, to, subject, reply_to, extra."""

    workspace_id: int
    sending_id: int
    header: dict[str, Any]
    text: str
    html: str
    raw: Any


def compose_message(
    message: MessageLike,
    no: int,
    signers: Sequence[Signer] = (),
    *,
    now: datetime | None = None,
    kind: str = "transactional",
    bounce_domain: str = "",
    leave_at: str = "",
) -> ComposedMessage:
    """One recipient's copy of a single message with its own words, the same at every try; nothing in it is measured.

    ``no`` is the recipient's number in the ledger. A raw message is relayed as it came: we add what is missing
    (Date, Message-ID) and sign it. ``leave_at``: our public address, for mail of a list that each leaves by one click.
    """
    now = now or datetime.now(UTC)
    header = message.header
    raw = bytes(message.raw) if message.raw is not None else None
    if raw is not None:
        head, body = _split(raw if raw.isascii() else seven_bits(raw))
        author = parseaddr(next((_value(line) for line in head if line[:5].lower() == b"from:"), ""))[1]
    else:
        author = header["from"][1]
    domain = author.rpartition("@")[2].lower()
    message_id = links.message_id(message.sending_id, no, domain)
    if raw is not None:
        way_out = _way_out(message.sending_id, no, leave_at, bounce_domain)
        told = [] if header.get("null_path") else _complaints(head, message_id, domain, bounce_domain)
        head = [*way_out, *told, *head]
        made = Composed(_completed(head, message_id, now), body)
    else:
        made = compose(
            sender=_box(header["from"]),
            to=[_box(one) for one in header["to"]],
            subject=one_line(header.get("subject", "")),
            text=message.text or None,
            html=message.html or None,
            message_id=message_id,
            date=now,
            reply_to=[_box(one) for one in header.get("reply_to", ())],
            feedback_id=list_headers.feedback_id("", opaque("workspace", message.workspace_id), kind, installation()),
            cfbl_address=_complaints_to(bounce_domain, domain),
            auto_submitted=list_headers.AUTO_GENERATED,
            extra=[(name, value) for name, value in header.get("extra", ())],
        )
    # A report on another message returns to nobody (RFC 5321 §4.5.5).
    null = bool(header.get("null_path"))
    reverse_path = "" if null else links.return_path(message.sending_id, no, bounce_domain or domain)
    return ComposedMessage(reverse_path, signed(made, signers, now, ours=raw is None))


def _box(pair: Sequence[str]) -> Mailbox:
    return Mailbox(one_line(pair[0] or "")[:200], pair[1])


def _way_out(sending_id: int, no: int, leave_at: str, bounce_domain: str) -> list[bytes]:
    """The header fields by which a recipient leaves (RFC 2369, RFC 8058); none without an address of ours."""
    if not leave_at:
        return []
    token = links.unsubscribe_token(sending_id, no)
    by_mail = f"{links.unsubscribe_address(token, bounce_domain)}?subject=unsubscribe" if bounce_domain else None
    url = f"{leave_at.rstrip('/')}/{links.PATHS[Kind.UNSUBSCRIBE]}/{token}"
    return [
        structured_line("List-Unsubscribe", list_headers.list_unsubscribe(url, by_mail)),
        structured_line("List-Unsubscribe-Post", list_headers.LIST_UNSUBSCRIBE_POST),
    ]


def _complaints_to(bounce_domain: str, author_domain: str) -> str | None:
    return list_headers.cfbl_address(f"{links.COMPLAINTS}@{bounce_domain}", author_domain) if bounce_domain else None


def _complaints(head: list[bytes], message_id: str, author_domain: str, bounce_domain: str) -> list[bytes]:
    """Where a relayed message is complained of, unless its program said so; its own Message-ID may stay, so the copy is
    named beside it (RFC 9477 §3.2–3.3)."""
    told = _complaints_to(bounce_domain, author_domain)
    if told is None or any(line.lower().startswith(b"cfbl-") for line in head):
        return []
    return [structured_line("CFBL-Address", told), structured_line("CFBL-Feedback-ID", message_id)]


# What a submitted message may bring along and must not carry on: traces of other servers, and blind copies.
_DROPPED = (b"bcc:", b"return-path:", b"dkim-signature:", b"authentication-results:", b"arc-", b"x-envol-")


def _split(raw: bytes) -> tuple[list[bytes], bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    lines: list[bytes] = []
    for line in head.split(b"\r\n"):
        if line[:1] in (b" ", b"\t") and lines:
            lines[-1] += line + b"\r\n"
        elif line:
            lines.append(line + b"\r\n")
    return [line for line in lines if not line.lower().startswith(_DROPPED)], body


def _value(line: bytes) -> str:
    return line.partition(b":")[2].replace(b"\r\n", b"").decode("utf-8", "replace").strip()


def _completed(head: list[bytes], message_id: str, now: datetime) -> list[bytes]:
    """RFC 6409 §8.2–8.3: a submission server may add a missing Date and Message-ID."""
    names = {line.partition(b":")[0].strip().lower() for line in head}
    more = []
    if b"date" not in names:
        more.append(date_line(now))
    if b"message-id" not in names:
        more.append(message_id_line(message_id))
    return [*head, *more]
