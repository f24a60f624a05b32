# ruff: noqa: E501 -- a row is read better on one line
"""The page says what the tests show, and what it calls absent is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.api.compatibility import PAGE, ROWS, page
from tests.api.program import Program

HERE = Path(__file__).resolve().parent


def test_the_page_is_what_the_tests_of_its_rows_make_it() -> None:
    assert PAGE.read_text("utf-8") == page({}), "run `make compatibility`"


def test_each_row_names_tests_that_there_are() -> None:
    for row in ROWS:
        assert bool(row.tests) != bool(row.call), row.what
        for test in row.tests:
            file, _, name = test.partition("::")
            assert re.search(rf"^def {name}\(", (HERE / file).read_text("utf-8"), re.MULTILINE), test


def test_what_is_absent_says_so_in_the_dialects_own_shape(workspace: Any) -> None:
    program = Program(workspace)
    ids = {"list": program.made_one("contactslist", {"Name": "Club"})["ID"], "template": program.made_one("template", {"Name": "t"})["ID"]}  # fmt: skip
    for call in (row.call for row in ROWS if row.call):
        method, _, path = call.format(**ids).partition(" ")
        answer = program.raw(method, path if path.startswith("/") else f"/v3/REST/{path}", {})
        assert answer.status_code == 404, call
        if not path.startswith("/"):
            told = json.loads(answer.content)
            assert told["StatusCode"] == 404 and told["ErrorMessage"], call
