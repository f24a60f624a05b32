"""One effect for a form that is sent twice: a double click, a browser that repeats, a reader who saw no answer.

Whoever sends first writes a row and does the work; whoever comes meanwhile waits for it, and gets its answer. The row
goes when nothing was done, so that a form that was refused can be sent again as it stands.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.utils import timezone

from envol.accounts.models import SentForm
from envol.db import execute

KEPT = timedelta(hours=24)
DEAD = timedelta(seconds=60)
"""A row nobody ended after so long belongs to a process that died: the next one may begin."""
WAIT = 20.0


class Busy(Exception):
    """The first sending is still being done."""


def begin(key: bytes, wait: float = WAIT) -> SentForm | None:
    """None: the work is ours to do, and :func:`done` or :func:`nothing` must end it. Else how it was answered."""
    end = time.monotonic() + wait
    while not execute(
        "INSERT INTO accounts_sent_form (key, location, said) VALUES (%s, '', '[]') ON CONFLICT DO NOTHING", [key]
    ):
        row = SentForm.objects.filter(key=key).first()
        if row is None:
            continue  # it came to nothing meanwhile: our turn
        if row.done_at is not None:
            return row
        dead = SentForm.objects.filter(key=key, done_at=None, at__lt=timezone.now() - DEAD)
        if dead.update(at=timezone.now()):
            return None
        if time.monotonic() > end:
            raise Busy
        time.sleep(0.05)
    if secrets.randbelow(100) == 0:
        SentForm.objects.filter(at__lt=timezone.now() - KEPT).delete()
    return None


def done(key: bytes, location: str, said: list[Any], shown: bytes | None = None) -> None:
    SentForm.objects.filter(key=key).update(done_at=timezone.now(), location=location, said=said, shown=shown)


def nothing(key: bytes) -> None:
    SentForm.objects.filter(key=key).delete()


def sealed(token: str, page: bytes) -> bytes:
    """A page that shows a secret, readable only with the form's token, which is kept nowhere."""
    nonce = secrets.token_bytes(12)
    return nonce + AESGCM(_seal(token)).encrypt(nonce, page, None)


def opened(token: str, box: bytes) -> bytes:
    return AESGCM(_seal(token)).decrypt(box[:12], box[12:], None)


def _seal(token: str) -> bytes:
    return hashlib.sha256(b"seal " + token.encode()).digest()
