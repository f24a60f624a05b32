from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, transaction

from envol import db
from envol.outbound import arrays


@pytest.mark.usefixtures("empty_database")
def test_postgresql_reads_what_was_written() -> None:
    words = ["", "NULL", None, 'a "quoted" \\ word', "{a,b}", "l'été", "two\r\nlines\t", "%s", "😀", "\\"]
    assert db.value("SELECT %s::text[]", [arrays.texts(words)]) == words
    assert db.value("SELECT %s::bigint[]", [arrays.numbers([1, None, -5, 2**62])]) == [1, None, -5, 2**62]
    assert db.rows("SELECT %s::text[], %s::bigint[]", [arrays.texts([]), arrays.numbers([])]) == [([], [])]


@pytest.mark.usefixtures("empty_database")
def test_a_prepared_statement_answers_in_text_in_or_outside_a_transaction() -> None:
    ask = db.Prepared("SELECT $1::text || '!', $2::int + 1")
    for _ in range(3):
        found = ask("l'été %s \\", "41")
        assert (found.get_value(0, 0), found.get_value(0, 1)) == ("l'été %s \\!".encode(), b"42")
    with transaction.atomic():
        assert ask(None, "1").get_value(0, 0) is None
        with pytest.raises(DatabaseError), transaction.atomic():
            ask("", "one")
        assert ask("", "1").get_value(0, 1) == b"2"
    connection.close()
    assert ask("a", "1").get_value(0, 0) == b"a!"


@pytest.mark.usefixtures("empty_database")
def test_what_a_prepared_statement_writes_belongs_to_the_transaction_around_it() -> None:
    db.execute("CREATE TABLE prepared_rows (n int)")
    try:
        with pytest.raises(ValueError, match="undo"), transaction.atomic():
            db.Prepared("INSERT INTO prepared_rows VALUES ($1::int)")("1")
            raise ValueError("undo")
        assert db.value("SELECT count(*) FROM prepared_rows") == 0
    finally:
        db.execute("DROP TABLE prepared_rows")


def test_two_threads_that_make_a_prepared_statement_at_once_share_its_name() -> None:
    """A cache lets two threads that meet at its first use each make one: whoever asks by the other one is answered."""
    first, second = (db.Prepared("SELECT $1::int * 3") for _ in range(2))
    assert [one("5").get_value(0, 0) for one in (first, second, first)] == [b"15"] * 3
    connection.close()
    assert second("7").get_value(0, 0) == b"21", "a new connection knows nothing, and is told"


@pytest.mark.usefixtures("empty_database")
def test_a_prepared_statement_is_planned_once() -> None:
    """By itself PostgreSQL plans one that takes arrays each time, which costs more than the rows of a small batch."""
    ask = db.Prepared("SELECT count(*) FROM unnest($1::bigint[]) AS g (n) JOIN outbound_send s ON s.no = g.n")
    for count in range(8):
        ask(arrays.numbers(range(count)))
    asked = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE %s"
    assert db.rows(asked, ["SELECT count(*) FROM unnest($1::bigint[]) AS g (n) JOIN%"]) == [(8, 0)]
