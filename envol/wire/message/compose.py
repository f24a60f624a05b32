"""Composing: a message as the bytes that leave, with the constant work done once per campaign version.

mixed (only with attachments)
  alternative (only with both texts): text first, because the last is preferred (RFC 2046 §5.1.4)
    text/plain
    related (only with inline images, RFC 2387): text/html, images
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from ..list_headers import LIST_UNSUBSCRIBE_POST, list_unsubscribe
from . import headers as h
from .encoding import QUOTED_PRINTABLE, choose, encode_text
from .headers import Mailbox
from .layout import Layout, Stretches
from .parts import Attachment

# Fields this module writes itself, or that belong to the servers on the way. Letting a caller add one would make a
# second From or Subject, which receivers refuse (RFC 5322 §3.6), or reveal a blind copy.
RESERVED = frozenset(
    {
        "from",
        "sender",
        "to",
        "cc",
        "bcc",
        "subject",
        "date",
        "message-id",
        "reply-to",
        "mime-version",
        "list-unsubscribe",
        "list-unsubscribe-post",
        "list-id",
        "feedback-id",
        "cfbl-address",
        "cfbl-feedback-id",
        "auto-submitted",
        "return-path",
        "received",
        "dkim-signature",
        "authentication-results",
    }
)


@dataclass(frozen=True, slots=True)
class Composed:
    """A message ready to be signed: header lines (each whole, folds and CRLF inside) and body, CRLF only, 7-bit."""

    headers: list[bytes]
    body: bytes

    def to_bytes(self, prepend: bytes = b"") -> bytes:
        """The whole message; `prepend` is for DKIM-Signature lines, which stand above what they sign."""
        return b"".join([prepend, *self.headers, b"\r\n", self.body])


class Skeleton:
    """What is the same for everybody in one version of a campaign; `render` adds what belongs to one person.

    `text_sample` and `html_sample` say which parts there are (None: that part is absent) and settle each part's
    transfer encoding; usually they are the template sources. Bodies are made whole (`render`) or by a
    `layout`. `list_id`, `feedback_id` and `cfbl_address` are bodies made by `wire.list_headers`. The same arguments
    give the same bytes, so a retry repeats a message exactly.
    """

    def __init__(
        self,
        *,
        from_name: str,
        from_address: str,
        text_sample: str | None,
        html_sample: str | None,
        reply_to: Sequence[Mailbox] = (),
        list_id: str | None = None,
        feedback_id: str | None = None,
        cfbl_address: str | None = None,
        auto_submitted: str | None = None,
        extra: Iterable[tuple[str, str]] = (),
        attachments: Sequence[Attachment] = (),
    ) -> None:
        if h.looks_like_other_address(from_name, from_address):
            raise ValueError("From: the sender's name shows an address that is not the sender's; change the name.")
        if text_sample is None and html_sample is None:
            raise ValueError("A message needs a text or an HTML part; write at least one.")
        files = [a for a in attachments if a.content_id is None]
        images = [a for a in attachments if a.content_id is not None]
        if images and html_sample is None:
            raise ValueError("Inline images need an HTML part that shows them; send them as attachments.")
        self._from = h.mailbox_line("From", [Mailbox(from_name, from_address)])
        self._constant = [h.mailbox_line("Reply-To", reply_to)] if reply_to else []
        for name, body in (
            ("List-Id", list_id),
            ("Feedback-ID", feedback_id),
            ("CFBL-Address", cfbl_address),
            ("Auto-Submitted", auto_submitted),
        ):
            if body is not None:
                self._constant.append(h.structured_line(name, body))
        self._constant += _extra_lines(extra)
        self._text = None if text_sample is None else choose(text_sample)
        self._html = None if html_sample is None else choose(html_sample)
        self._lay_out(files, images)
        self._unsubscribe_post = h.line("List-Unsubscribe-Post", LIST_UNSUBSCRIBE_POST)

    def _lay_out(self, files: list[Attachment], images: list[Attachment]) -> None:
        """Prepare everything of the body that stands before, between and after the two texts."""
        # Neither encoding can produce "=_" (RFC 2045 §6.7 (1) and §6.8), so no part can hold a boundary.
        mark = sha256(b"".join([self._from, *self._constant])).hexdigest()[:24]
        text = _leaf_head("plain", self._text)
        html = _leaf_head("html", self._html)
        before, between, after = b"", b"", b""
        content = html or text
        if html and images:
            content, opening, inside = _multipart("related", mark, ' type="text/html";')
            before = opening + html + b"\r\n"
            after = b"".join([inside + image.encode() for image in images]) + _closing(inside)
            html = content
        if text and html:
            content, opening, inside = _multipart("alternative", mark)
            before, between = opening + text + b"\r\n", inside + html + b"\r\n" + before
            after += _closing(inside)
        if files:
            inner = content
            content, opening, inside = _multipart("mixed", mark)
            before = opening + inner + b"\r\n" + before
            after += b"".join([inside + file.encode() for file in files]) + _closing(inside)
        self._before, self._between, self._after = before, between, after
        self._constant += [b"MIME-Version: 1.0\r\n", *_lines(content)]

    def render(
        self,
        *,
        to_name: str,
        to_address: str,
        subject: str,
        text_body: str | None,
        html_body: str | None,
        message_id: str,
        date: datetime,
        list_unsubscribe_url: str | None = None,
        list_unsubscribe_mailto: str | None = None,
        extra: Iterable[tuple[str, str]] = (),
    ) -> Composed:
        """The message for one person; see `header` for what is refused."""
        lines = self.header(
            to_name=to_name,
            to_address=to_address,
            subject=subject,
            message_id=message_id,
            date=date,
            list_unsubscribe_url=list_unsubscribe_url,
            list_unsubscribe_mailto=list_unsubscribe_mailto,
            extra=extra,
        )
        return Composed(lines, self.body(text_body, html_body))

    def header(
        self,
        *,
        to_name: str,
        to_address: str,
        subject: str,
        message_id: str,
        date: datetime,
        list_unsubscribe_url: str | None = None,
        list_unsubscribe_mailto: str | None = None,
        extra: Iterable[tuple[str, str]] = (),
    ) -> list[bytes]:
        """The header lines for one person.

        A recipient's name that shows another address is left out: the person should get the mail all the same.
        Raises ValueError, naming the field, for anything that cannot stand in a header.
        """
        if "@" in to_name and h.looks_like_other_address(to_name, to_address):
            to_name = ""
        to_line = h.line("To", h.mailbox("To", to_name, to_address, 4))
        url, mailto = list_unsubscribe_url, list_unsubscribe_mailto
        return self._header([to_line], subject, message_id, date, url, mailto, extra)

    def _header(
        self,
        to_lines: list[bytes],
        subject: str,
        message_id: str,
        date: datetime,
        url: str | None,
        mailto: str | None,
        extra: Iterable[tuple[str, str]],
    ) -> list[bytes]:
        lines = [
            self._from,
            *to_lines,
            h.subject_line(subject),
            h.date_line(date),
            h.message_id_line(message_id),
        ]
        if url is not None:
            lines += [h.structured_line("List-Unsubscribe", list_unsubscribe(url, mailto)), self._unsubscribe_post]
        if extra:
            lines += _extra_lines(extra)
        return lines + self._constant

    def body(self, text_body: str | None, html_body: str | None) -> bytes:
        """The body for one person, from whole texts."""
        text = _part("text", text_body, self._text)
        html = _part("HTML", html_body, self._html)
        return b"".join([self._before, text, self._between, html, self._after])

    def layout(self, text: Stretches | None, html: Stretches | None) -> Layout | None:
        """The body with its constant stretches prepared, for parts whose texts are known piece by piece.

        None where a part is in base64, which shows no stretch again at another place: `render` whole texts then.
        """
        _check_there("text", text, self._text)
        _check_there("HTML", html, self._html)
        if {self._text, self._html} - {QUOTED_PRINTABLE, None}:
            return None
        parts = [self._before, text or b"", self._between, html or b"", self._after]
        return Layout(parts)


def compose(
    *,
    sender: Mailbox,
    to: Sequence[Mailbox],
    subject: str,
    text: str | None,
    html: str | None,
    message_id: str,
    date: datetime,
    cc: Sequence[Mailbox] = (),
    reply_to: Sequence[Mailbox] = (),
    list_unsubscribe_url: str | None = None,
    list_unsubscribe_mailto: str | None = None,
    list_id: str | None = None,
    feedback_id: str | None = None,
    cfbl_address: str | None = None,
    auto_submitted: str | None = None,
    extra: Iterable[tuple[str, str]] = (),
    attachments: Sequence[Attachment] = (),
) -> Composed:
    """One message that has no siblings: a transactional mail, a notice, a test.

    `to` and `cc` are shown to everybody; blind copies are a matter of the envelope alone. Same checks and same
    bytes as a `Skeleton` would give.
    """
    if not to:
        raise ValueError("To: name at least one recipient.")
    skeleton = Skeleton(
        from_name=sender.name,
        from_address=sender.address,
        text_sample=text,
        html_sample=html,
        reply_to=reply_to,
        list_id=list_id,
        feedback_id=feedback_id,
        cfbl_address=cfbl_address,
        auto_submitted=auto_submitted,
        attachments=attachments,
    )
    lines = [h.mailbox_line("To", [_honest(box) for box in to])]
    if cc:
        lines.append(h.mailbox_line("Cc", [_honest(box) for box in cc]))
    header = skeleton._header(lines, subject, message_id, date, list_unsubscribe_url, list_unsubscribe_mailto, extra)
    return Composed(header, skeleton.body(text, html))


def _honest(box: Mailbox) -> Mailbox:
    return Mailbox("", box.address) if h.looks_like_other_address(box.name, box.address) else box


def _extra_lines(extra: Iterable[tuple[str, str]]) -> list[bytes]:
    lines = []
    for name, value in extra:
        lowered = name.lower()
        if lowered in RESERVED or lowered.startswith(("content-", "arc-", "resent-")):
            raise ValueError(f"{name} is written by Envol itself; leave it out of the extra headers.")
        lines.append(h.field_line(name, value))
    return lines


def _part(label: str, body: str | None, encoding: str | None) -> bytes:
    _check_there(label, body, encoding)
    return b"" if body is None or encoding is None else encode_text(body, encoding)


def _check_there(label: str, body: object, encoding: str | None) -> None:
    if (body is None) != (encoding is None):
        there = "has no" if encoding is None else "has a"
        raise ValueError(f"This campaign version {there} {label} part; render exactly the parts it was made with.")


def _leaf_head(subtype: str, encoding: str | None) -> bytes:
    if encoding is None:
        return b""
    return f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n".encode("ascii")


def _multipart(subtype: str, mark: str, extra: str = "") -> tuple[bytes, bytes, bytes]:
    """Header lines, first delimiter and following delimiter of a multipart; all parts end with CRLF (§5.1.1).

    The CRLF that belongs to a delimiter is the one that ends the line before it.
    """
    boundary = f"=_{subtype[0]}{mark}"
    head = f'Content-Type: multipart/{subtype};{extra}\r\n boundary="{boundary}"\r\n'
    delimiter = f"--{boundary}\r\n".encode("ascii")
    return head.encode("ascii"), delimiter, delimiter


def _closing(delimiter: bytes) -> bytes:
    return delimiter[:-2] + b"--\r\n"


def _lines(head: bytes) -> list[bytes]:
    """Header lines of a block, folds kept with their line."""
    lines: list[bytes] = []
    for raw in head.splitlines(keepends=True):
        if raw.startswith(b" "):
            lines[-1] += raw
        else:
            lines.append(raw)
    return lines
