"""The page on which analysts ask by SQL: who may, what it says, what the journal keeps, and the file."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.test import Client

from envol.accounts.models import JournalEntry
from envol.audience.analysis import ask
from envol.audience.columns import build
from tests.web.shop import Shop

Sign = Callable[..., Client]
PATH = "/audience/sql"


@pytest.fixture
def asked(shop: Shop) -> Iterator[Shop]:
    build.build(shop.workspace, settings.ENVOL.data, build.address())
    yield shop
    shutil.rmtree(settings.ENVOL.data / "columns", ignore_errors=True)


def test_without_a_copy_the_page_says_what_to_do(shop: Shop, as_member: Sign) -> None:
    text = as_member("editor").get(PATH).content.decode()
    assert "There is nothing to ask yet" in text and "<textarea" not in text
    answer = as_member("editor").post(PATH, {"sql": "SELECT 1", "act": "ask"})
    assert answer.status_code == 422


def test_viewers_do_not_ask(asked: Shop, as_member: Sign) -> None:
    for how in ("get", "post"):
        assert getattr(as_member("viewer"), how)(PATH).status_code == 403


def test_a_question_is_answered_paged_and_kept_in_the_journal(asked: Shop, as_member: Sign) -> None:
    client = as_member("editor")
    page = client.get(PATH + "?example=domains").content.decode()
    assert "split_part" in page and "order_lines" in page and "quantile_cont" in page
    sql = "SELECT email FROM people WHERE email <> 'zoe@nulle-part.example' ORDER BY id"
    text = client.post(PATH, {"sql": sql, "act": "ask"}).content.decode()
    assert "Rows 1 to 50" in text and "Next 50" in text and "Previous 50" not in text
    second = client.post(PATH, {"sql": sql, "act": "page", "first": "50"}).content.decode()
    assert "Rows 51 to" in second and "Previous 50" in second
    entry = JournalEntry.objects.filter(workspace=asked.workspace, action="analysis.asked").latest("pk")
    assert entry.facts["first"] == 50 and "z•••@nulle-part.example" in entry.facts["sql"]
    assert "zoe@" not in str(entry.facts)


def test_what_is_refused_is_said_in_words_and_nothing_typed_is_lost(asked: Shop, as_member: Sign) -> None:
    client = as_member("owner")
    for sql, words in (
        ("DROP TABLE people", "Only SELECT is possible"),
        ("SELECT * FROM raw_contacts", "There is no table “raw_contacts” here"),
        ("SELECT getenv('PATH')", "“getenv” is not possible here"),
        ("SELECT nothing FROM people", "The engine could not answer"),
        ("SELECT 1; SELECT 2", "one question at a time"),
        ("", "Write a question first"),
    ):
        answer = client.post(PATH, {"sql": sql, "act": "ask"})
        assert answer.status_code == 422
        text = answer.content.decode()
        assert words in text, (sql, text)
        if sql:
            assert sql.split("(")[0].split(";")[0] in text
    entries = JournalEntry.objects.filter(workspace=asked.workspace, action="analysis.asked", facts__rows__gte=0)
    assert not entries.filter(facts__sql__contains="raw_contacts").exists()


def test_the_file_is_harmless_to_a_spreadsheet(asked: Shop, as_member: Sign) -> None:
    answer = as_member("owner").post(PATH, {"sql": "SELECT '=1+1' AS f, email FROM people LIMIT 3", "act": "csv"})
    assert answer["Content-Type"].startswith("text/csv")
    text = b"".join(answer.streaming_content).decode()  # type: ignore[arg-type]
    lines = text.removeprefix("\ufeff").splitlines()
    assert lines[0] == "f,email" and len(lines) == 4 and all(line.startswith("'=1+1,") for line in lines[1:])
    assert JournalEntry.objects.filter(workspace=asked.workspace, action="analysis.exported").exists()


def test_midnights_are_days(asked: Shop, as_member: Sign) -> None:
    sql = "SELECT date_trunc('month', created) AS month, max(created) AS last FROM people GROUP BY ALL"
    text = as_member("owner").post(PATH, {"sql": sql, "act": "ask"}).content.decode()
    main = text.partition("<main")[2]
    assert re.search(r"<td>\d{4}-\d\d-01</td><td>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d</td>", main), main


def test_every_example_runs(asked: Shop, as_member: Sign) -> None:
    from envol.web.views.analysis import _examples

    for example in _examples():
        ask.ask(asked.workspace, example["sql"], masked=True)
