"""Whose addresses stand in a file: of people, or general ones of companies, which are nobody's.

The profession of a business contact is asked for people only (CPCE art. L34-5 protects natural persons).
"""

from __future__ import annotations

import polars as pl

from envol.contacts.imports.clean import addresses, is_general, key_of
from envol.contacts.imports.read import blocks
from envol.contacts.imports.receive import copy_of
from envol.contacts.models import Import


def of_people(imp: Import) -> int:
    """How many addresses of the file may be a person's; each counts once. The whole file is read."""
    column = next((i for i, name in enumerate(imp.format["columns"]) if imp.mapping.get(name) == "email"), None)
    if column is None:
        return 0
    cleaner, seen = addresses(f"c{column}"), pl.Series("key", [], dtype=pl.UInt64)
    for block in blocks(copy_of(imp), imp.format):
        written, _wrong = cleaner.clean(block.rows)
        own = pl.DataFrame({"key": key_of(written.drop_nulls())}).filter(~is_general())["key"]
        seen = pl.concat([seen, own.hash().alias("key")]).unique()  # numbers: a file may be larger than memory
    return len(seen)
