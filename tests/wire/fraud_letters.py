"""The labelled letters of `tests/mail/fraud`: read, and made into messages as a program would hand them in.

They were written without a look at the rules, and the rules without a look at them; `docs/outgoing-control.md` has the
figures. A letter is its header fields, an empty line, and a text with links as [words](address).
"""

from __future__ import annotations

import html
import io
import mailbox
import re
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from pathlib import Path

from envol.wire.fraud import Verdict, judge, letter_of

FOLDER = Path(__file__).resolve().parent.parent / "mail" / "fraud"
SETS = (
    "",
    "_later",
    "_third",
    "_fourth",
    "_fifth",
    "_sixth",
    "_seventh",
    "_eighth",
    "_ninth",
    "_tenth",
    "_eleventh",
    "_twelfth",
)
"""What follows `honest` and `phishing` in the names of the files, the oldest first."""
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]*)\)")


def letters(kind: str) -> Iterator[tuple[str, EmailMessage]]:
    """(subject, message) of every letter of a kind: `honest` or `phishing`."""
    return letters_of(FOLDER / f"{kind}.txt")


def letters_of(path: Path) -> Iterator[tuple[str, EmailMessage]]:
    for block in path.read_text("utf-8").split("\n---\n"):
        head, _, body = block.strip().partition("\n\n")
        fields = dict(line.split(": ", 1) for line in head.splitlines())
        lines = body.strip().splitlines()
        extra = {name: fields[name] for name in ("Attach", "Form") if name in fields}
        while lines and re.match(r"(Attach|Form): ", lines[-1]):
            name, _, value = lines.pop().partition(": ")
            extra[name] = value
        yield fields["Subject"], _message(fields, "\n".join(lines), extra)


def whole(kind: str) -> Iterator[tuple[str, EmailMessage]]:
    """(subject, message) of the letters that were written as whole messages, their MIME included."""
    for message in mailbox.mbox(FOLDER / f"{kind}_whole.mbox", create=False):
        octets = message.as_bytes().replace(b"\n", b"\r\n")
        made = message_from_bytes(octets, _class=EmailMessage, policy=SMTP)
        yield str(made["Subject"]), made


def _message(fields: dict[str, str], body: str, extra: dict[str, str]) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    for name in ("From", "Reply-To", "Subject"):
        if name in fields:
            message[name] = fields[name]
    if body.startswith("<"):  # HTML as it is, and nothing beside it
        message.set_content(body, subtype="html")
        return message
    message.set_content(_LINK.sub(r"\1: \2", body))
    if fields.get("Layout"):
        message.add_alternative(_page(fields, body), subtype="html")
    elif _LINK.search(body) or "Form" in extra:
        parts = _LINK.split(body)
        made = "".join(
            html.escape(part) if i % 3 == 0 else f'<a href="{html.escape(parts[i + 1])}">{html.escape(part)}</a>'
            for i, part in enumerate(parts)
            if i % 3 != 2
        )
        form = '<form action="https://x.example"><input name="p" type="password"></form>' if "Form" in extra else ""
        message.add_alternative(f"<html><body><p>{made}</p>{form}</body></html>", subtype="html")
    if "Attach" in extra:
        name, _, kind = extra["Attach"].rpartition(" ")
        message.add_attachment(_content(kind), maintype="application", subtype="octet-stream", filename=name.strip())
    return message


def _page(fields: dict[str, str], body: str) -> str:
    """The text as mail programs send it: tables, a logo, buttons, small print, a picture that counts opens."""
    name, address = parseaddr(fields["From"])
    home = address.rpartition("@")[2]
    links = [target for _, target in _LINK.findall(body)]
    news = fields["Layout"] == "news"
    rows = []
    for paragraph in body.split("\n\n"):
        button = re.fullmatch(r"(\[[^\]]*\]\([^)\s]*\)\s*)+", paragraph)
        style = (
            "display:inline-block;padding:12px 24px;border-radius:4px;background:#1a5fb4;color:#fff" if button else ""
        )
        put = _LINK.sub(rf'<a href="\2" style="{style}">\1</a>', html.escape(paragraph)).replace("\n", "<br>\n")
        rows.append(f'<tr><td style="padding:12px 32px;font:16px Arial,sans-serif">{put}</td></tr>')
    top = (
        f'<div style="display:none;max-height:0;overflow:hidden">{html.escape(fields["Subject"])}</div>' if news else ""
    )
    shown = f'<img src="https://{home}/img/top.jpg" alt="" width="600">' if news else ""
    host = links[0].split("/")[2] if news and links else home
    leave = f' · <a href="https://{host}/leave/7f3a">unsubscribe</a>' if news else ""
    return (
        f'<!DOCTYPE html><html><head><meta charset="utf-8"><style>td{{color:#222}}</style></head><body>{top}'
        f'<table role="presentation" width="600" align="center"><tr><td><img src="https://{home}/img/logo.png"'
        f' alt="{html.escape(name)}" width="120"></td></tr>{shown}{"".join(rows)}<tr><td style="font-size:11px">'
        f'{html.escape(name)}{leave}</td></tr></table><img src="https://{host}/o/7f3a.gif" width="1" height="1" alt="">'
        "</body></html>"
    )


def _content(kind: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        if kind in ("docx", "macro"):
            archive.writestr("[Content_Types].xml", "<Types/>")
            archive.writestr("word/document.xml", "<w/>")
        if kind == "macro":
            archive.writestr("word/vbaProject.bin", b"\xd0\xcf\x11\xe0")
        if kind == "zipexe":
            archive.writestr("remittance_advice.pdf.scr", b"MZ\x90\0")
        if kind in ("zip", "lockedzip"):
            archive.writestr("exercices.xlsx", b"PK\x05\x06" + b"\0" * 18)
    zipped = made.getvalue()
    if kind == "lockedzip":  # the bit that says so, in the local header and in the directory
        directory = zipped.index(b"PK\x01\x02")
        zipped = zipped[:6] + b"\x01" + zipped[7 : directory + 8] + b"\x01" + zipped[directory + 9 :]
    return {
        "pdf": b"%PDF-1.7\n1 0 obj <<>> endobj\n%%EOF",
        "mp3": b"ID3\x04\0\0",
        "exe": b"MZ\x90\0",
        "iso": b"\0" * 0x8001 + b"CD001",
        "loginpage": b"<html><body><form action='https://x.example'><input type='password'></form></body></html>",
    }.get(kind, zipped)


def verdict(message: EmailMessage) -> Verdict:
    name, address = parseaddr(str(message["From"]))
    return judge(letter_of(message.as_bytes(), name=name, address=address, subject=str(message["Subject"])))


if __name__ == "__main__":
    listed = [(f"{kind}{which}", letters) for which in SETS for kind in ("honest", "phishing")]
    for kind, read in [*listed, ("honest", whole), ("phishing", whole)]:
        verdicts = [(subject, verdict(message)) for subject, message in read(kind)]
        wrong = [(s, v) for s, v in verdicts if (v.action == "allow") == kind.startswith("phishing")]
        counted = {a: sum(v.action == a for _, v in verdicts) for a in ("allow", "hold", "refuse")}
        print(f"{kind}{'_whole' if read is whole else ''}: {len(verdicts)} letters, {counted}")
        for subject, v in wrong:
            print(f"  {v.action} {v.points}: {subject}: {[(r.rule, r.points, r.what) for r in v.reasons]}")
