"""Pictures: taken in as strangers' files, shown as files of our own.

What arrives is decoded once, by its content and never by its name, and encoded again in the three formats that every
mail program shows. Nothing of the file itself is kept: no place or camera of a photograph (GDPR art. 5(1)(c)), no
script behind its last byte. SVG is code and is refused.

The files of a picture lie in ``DATA/media/<token>/<width>.<kind>``. They are public, because mail readers have no
session: the token has 128 random bits. Written like everything that must not be lost: temporary name, fsync, rename,
fsync of the folder, then the row is committed.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from envol.accounts import journal
from envol.accounts.models import Member, Workspace
from envol.content.gallery.fill import Picture
from envol.content.models import Media, MediaUse, Version
from envol.content.problems import MediaProblem

MAX_OCTETS = 25 << 20  # of a file as it arrives
HEAVY = 200_000  # octets; more makes people wait on a telephone
PATH = "/m/"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
FILE = re.compile(r"([A-Za-z0-9_-]{22})/(\d{1,4}\.(?:jpg|png|gif))")
_TYPES = {"jpg": "image/jpeg", "png": "image/png", "gif": "image/gif"}


# ---- where they lie


def folder() -> Path:
    path = Path(settings.ENVOL.data) / "media"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def file_of(path: str) -> tuple[Path, str] | None:
    """The file behind ``<token>/<width>.<kind>`` and its media type; None for anything else, whatever it points to."""
    found = FILE.fullmatch(path)
    if found is None:
        return None
    return folder() / found.group(1) / found.group(2), _TYPES[path.rpartition(".")[2]]


HEADERS = {
    # The name says which bytes these are, for ever.
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",  # webmail shows it inside its own pages
    "X-Robots-Tag": "noindex",
}


def address(media: Media, width: int, base: str = "") -> str:
    """Where the variant lies that fills ``width`` pixels, or the largest there is."""
    known = sorted(int(w) for w in media.sizes)
    best = next((w for w in known if w >= width), known[-1])
    return f"{base}{PATH}{media.token}/{best}.{media.kind}"


def picture_of(media: Media, base: str) -> Picture:
    return Picture(large=address(media, 1200, base), small=address(media, 600, base))


def pictures(workspace: Workspace, wanted: Iterable[int], base: str) -> dict[int, Picture]:
    """Addresses of these pictures of the workspace; what is of another one is not there."""
    found = Media.objects.filter(workspace=workspace, pk__in=list(wanted))
    return {media.pk: picture_of(media, base) for media in found}


# ---- taking in


def receive(workspace: Workspace, file: IO[bytes], name: str, *, alt: str = "", member: Member | None = None) -> Media:
    """A picture made anew from an uploaded file; the same file again is the same picture.

    Raises MediaProblem with what to do. Nothing is kept then.
    """
    file.seek(0, os.SEEK_END)
    if file.tell() > MAX_OCTETS:
        raise MediaProblem(_("The picture is larger than 25 MB: save it smaller, then send it again."))
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").digest()  # type: ignore[arg-type]
    known = Media.objects.filter(workspace=workspace, sha256=digest).first()
    if known is not None:
        if alt and not known.alt:
            known.alt = alt[:300]
            known.save(update_fields=["alt"])
        return known
    file.seek(0)
    from envol.content import reencode  # the decoder stays out of the processes that only send

    made = reencode.made(file)
    token = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
    _write(token, made.kind, made.files)
    media = Media(
        workspace=workspace,
        token=token,
        name=_name(name),
        alt=" ".join(alt.split())[:300],
        kind=made.kind,
        width=made.width,
        height=made.height,
        frames=made.frames,
        sizes={str(width): len(content) for width, content in made.files.items()},
        sha256=digest,
        member_id=member.pk if member else None,
    )
    try:
        with transaction.atomic():
            media.save()
            _note(media, "media.received", member)
    except IntegrityError:  # the same file, sent twice at once
        _remove(token)
        return Media.objects.get(workspace=workspace, sha256=digest)
    except BaseException:
        _remove(token)
        raise
    return media


def _name(name: str) -> str:
    bare = re.sub(r"[\x00-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]", "", name)
    return (re.split(r"[/\\]", bare)[-1].strip() or _("picture"))[:200]


def _note(media: Media, action: str, member: Member | None) -> None:
    journal.note(
        media.workspace, "member" if member else "command", action, media, actor_id=member.pk if member else None,
        name=media.name,
    )  # fmt: skip


# ---- disk


def _write(token: str, kind: str, files: dict[int, bytes]) -> None:
    where = folder()
    temporary = where / f".{token}"
    temporary.mkdir(mode=0o700)
    try:
        for width, content in files.items():
            with open(os.open(temporary / f"{width}.{kind}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
        _sync(temporary)
        temporary.rename(where / token)
        _sync(where)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove(token: str) -> None:
    if _TOKEN.fullmatch(token):
        shutil.rmtree(folder() / token, ignore_errors=True)


# ---- use


def note_uses(version: Version) -> None:
    """Remember which pictures of the workspace a new version shows, however it was written."""
    tokens = set(re.findall(rf"{PATH}([A-Za-z0-9_-]{{22}})/", version.html or version.source))
    if not tokens:
        return
    found = Media.objects.filter(workspace=version.workspace, token__in=tokens)
    MediaUse.objects.bulk_create([MediaUse(media=media, version=version) for media in found], ignore_conflicts=True)


def describe(media: Media, alt: str) -> None:
    """Change the words for people who do not see it; messages that show it keep theirs."""
    media.alt = " ".join(alt.split())[:300]
    media.save(update_fields=["alt"])


def delete(media: Media, *, member: Member | None = None) -> None:
    """Remove a picture that no message shows. Raises MediaProblem when one does."""
    with transaction.atomic():
        now = Media.objects.select_for_update().get(pk=media.pk)
        if MediaUse.objects.filter(media=now).exists():
            raise MediaProblem(_("A message shows this picture: it stays, so that the message stays whole."))
        _note(now, "media.deleted", member)
        now.delete()
    _remove(media.token)


def sweep() -> int:
    """Remove folders without a row: what a crash between the disk and the database left. Returns how many."""
    import time

    known = set(Media.objects.values_list("token", flat=True))
    removed = 0
    for path in folder().iterdir():
        old = path.stat().st_mtime < time.time() - 3600
        if path.is_dir() and old and path.name.lstrip(".") not in known:
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
    return removed


def facts(media: Media) -> dict[str, Any]:
    """What a page says of a picture."""
    octets = max(int(size) for size in media.sizes.values())
    return {"octets": octets, "heavy": octets > HEAVY, "small": address(media, 600), "large": address(media, 1200)}
