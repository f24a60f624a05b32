from __future__ import annotations

import pytest

from envol import db
from envol.outbound import arrays


@pytest.mark.usefixtures("empty_database")
def test_postgresql_reads_what_was_written() -> None:
    words = ["", "NULL", None, 'a "quoted" \\ word', "{a,b}", "l'été", "two\r\nlines\t", "%s", "😀", "\\"]
    assert db.value("SELECT %s::text[]", [arrays.texts(words)]) == words
    assert db.value("SELECT %s::bigint[]", [arrays.numbers([1, None, -5, 2**62])]) == [1, None, -5, 2**62]
    assert db.rows("SELECT %s::text[], %s::bigint[]", [arrays.texts([]), arrays.numbers([])]) == [([], [])]
