"""Messages as bytes: composing them for sending (RFC 5322, MIME), and reading what came back."""

from .compose import Composed, Skeleton, compose
from .headers import Mailbox, addr_spec
from .parts import Attachment
from .read import ReadAttachment, ReadMessage, read

__all__ = [
    "Attachment",
    "Composed",
    "Mailbox",
    "ReadAttachment",
    "ReadMessage",
    "Skeleton",
    "addr_spec",
    "compose",
    "read",
]
