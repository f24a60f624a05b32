"""The gallery: nine models with named places that a form fills without code.

The stored truth is a model and what stands in its places (``Version.design``); MJML is made from it, and everything
after that is the pipeline of every other template, so preview and sending are the same code.
"""

from __future__ import annotations

from envol.content.gallery.catalogue import ASKING, BY_KEY, MODELS
from envol.content.gallery.fill import (
    Design,
    Picture,
    each,
    media_of,
    missing,
    named,
    opened,
    read,
    start,
    to_mjml,
    untouched,
    words,
    wrong,
)
from envol.content.gallery.marks import Chip, Chips, canonical, chips_of, shown, tags, unknown, untagged, used
from envol.content.gallery.places import PALETTE, SIZES, Model, Place, Repeat, Wrong, bad_colour, contrast

__all__ = [
    "ASKING",
    "BY_KEY",
    "MODELS",
    "PALETTE",
    "SIZES",
    "Chip",
    "Chips",
    "Design",
    "Model",
    "Picture",
    "Place",
    "Repeat",
    "Wrong",
    "bad_colour",
    "canonical",
    "chips_of",
    "contrast",
    "each",
    "media_of",
    "missing",
    "named",
    "opened",
    "read",
    "shown",
    "start",
    "tags",
    "to_mjml",
    "unknown",
    "untagged",
    "untouched",
    "used",
    "words",
    "wrong",
]
