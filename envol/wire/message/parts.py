"""Attachments and inline images: one MIME part each, encoded once and then only copied."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote

from .encoding import encode_base64
from .headers import FOLD, check

_TYPE = re.compile(r"(application|audio|font|image|model|text|video)/[A-Za-z0-9!#$&^_.+-]{1,100}\Z")
_CID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+(?:@[A-Za-z0-9.-]+)?\Z")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that travels with a message.

    `content_id` (without angle brackets) makes it an inline image that the HTML part names as `cid:content_id`.
    """

    filename: str
    content: bytes
    content_type: str = "application/octet-stream"
    content_id: str | None = None

    def encode(self) -> bytes:
        """The whole part after its boundary line: headers, empty line, base64 lines."""
        content_type = self.content_type.lower()
        if not _TYPE.match(content_type):
            # RFC 2046 §5.2.1, §5.1: message/* and multipart/* may not be carried in base64.
            raise ValueError(
                f"Attachment type {self.content_type[:80]!r} cannot be sent; use application/octet-stream."
            )
        name = check("Attachment name", self.filename).replace("/", "_").replace("\\", "_").strip()
        if not name or len(name.encode("utf-8")) > 255:
            raise ValueError("Attachment name must have 1 to 255 octets; rename the file.")
        disposition = "attachment" if self.content_id is None else "inline"
        head = [
            f"Content-Type: {content_type};\r\n {parameter('name', fallback(name))}",
            "Content-Transfer-Encoding: base64",
            f"Content-Disposition: {disposition};\r\n {filename(name)}",
        ]
        if self.content_id is not None:
            if not _CID.match(self.content_id) or len(self.content_id) > 200:
                raise ValueError("Content-ID must be ASCII without spaces; write it as image1 or image1@domain.")
            head.append(f"Content-ID: <{self.content_id}>")
        return "\r\n".join([*head, "", ""]).encode("ascii") + encode_base64(self.content)


def fallback(name: str) -> str:
    """The name in ASCII, at most 60 characters and with its ending, for readers that know no RFC 2231."""
    bare = unicodedata.normalize("NFKD", name)
    ascii_name = "".join(c if " " <= c <= "~" else "_" for c in bare if not unicodedata.combining(c))
    if len(ascii_name) > 60:
        stem, dot, ending = ascii_name.rpartition(".")
        if not dot or len(ending) > 10:
            return ascii_name[:60]
        return f"{stem[: 59 - len(ending)]}.{ending}"
    return ascii_name


def parameter(key: str, value: str) -> str:
    """`key="value"` as a quoted-string (RFC 2045 §5.1)."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{key}="{escaped}"'


def filename(name: str) -> str:
    """The filename parameter of Content-Disposition: plain when ASCII and short, else RFC 2231 and a plain fallback.

    RFC 2231 §3 cuts a long value into numbered pieces; we cut between characters, each piece within 78 octets.
    The plain one comes last, because some readers keep the first they meet.
    """
    plain = fallback(name)
    if plain == name:
        return parameter("filename", name)
    tokens = [quote(c, safe="!#$&+^_`{|}~") for c in name]
    encoded = "".join(tokens)
    if len(encoded) + 19 <= FOLD:
        return f"filename*=utf-8''{encoded};\r\n {parameter('filename', plain)}"
    pieces: list[str] = ["utf-8''"]
    for token in tokens:
        if len(pieces[-1]) + len(token) > 58:
            pieces.append("")
        pieces[-1] += token
    numbered = [f"filename*{i}*={piece}" for i, piece in enumerate(pieces)]
    return ";\r\n ".join([*numbered, parameter("filename", plain)])
