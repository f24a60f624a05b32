"""What stops an import, and what is said about single lines."""

from __future__ import annotations


class ImportProblem(ValueError):
    """This file or this choice cannot be used; the sentence says what to do."""


CAUSES = {
    "address": "The address cannot be used",
    "columns": "The line has too few or too many columns",
    "quote": "A quotation mark is opened and not closed properly",
    "encoding": "The line holds bytes that are not text in the file's encoding",
    "nul": "The line holds the character U+0000",
    "too_long": "The line is longer than 1 MiB",
    "json": "The line is not an object of JSON that can be used",
    "value": "The person is imported without this value",
    "identifier": "The person is imported without this identifier: it belongs to somebody else",
    "key": "The line is imported without this key, which is not among the columns found at first",
}
"""Why a line, or one value of it, stays out: code as stored → what the downloaded file says."""
