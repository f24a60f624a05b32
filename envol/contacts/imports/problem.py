"""What stops an import, and what is said about single lines."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _


class ImportProblem(ValueError):
    """This file or this choice cannot be used; the sentence says what to do."""


CAUSES = {
    "address": _("The address cannot be used"),
    "columns": _("The line has too few or too many columns"),
    "quote": _("A quotation mark is opened and not closed properly"),
    "encoding": _("The line holds bytes that are not text in the file's encoding"),
    "nul": _("The line holds the character U+0000"),
    "too_long": _("The line is longer than 1 MiB"),
    "json": _("The line is not an object of JSON that can be used"),
    "value": _("The person is imported without this value"),
    "identifier": _("The person is imported without this identifier: it belongs to somebody else"),
    "order": _("A value of this line cannot be used, so its order stays out"),
    "order_part": _("Another line of the same order cannot be used"),
    "order_differs": _("The lines of this order say different things"),
    "order_lacks": _("Something is missing that every order needs"),
    "nobody": _("Nobody here is this buyer: import the people first, then this line again"),
    "key": _("The line is imported without this key, which is not among the columns found at first"),
}
"""Why a line, or one value of it, stays out: code as stored → what the downloaded file says, to be translated."""
