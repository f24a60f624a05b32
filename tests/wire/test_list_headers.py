"""Headers by which a person leaves a list."""

import pytest

from envol.wire import list_headers as lh


def test_the_https_address_comes_first() -> None:
    assert lh.list_unsubscribe("https://u.example/u/a_b-c?x=1") == "<https://u.example/u/a_b-c?x=1>"
    assert lh.list_unsubscribe("https://u.example/u/a", "mailto:u+a@x.example?subject=leave") == (
        "<https://u.example/u/a>, <mailto:u+a@x.example?subject=leave>"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://u.example/u/a",  # RFC 8058 §3.1 asks for https
        "http://localhost.else.example/u",
        "https://",
        "https://u.example/a b",
        "https://u.example/a,b",
        "https://u.example/>",
        "https://u.example/\r\n",
        "https://u.example/é",
        "mailto:u@x.example",
        "javascript:alert(1)",
        "https://u.example/" + "a" * 900,
    ],
)
def test_an_address_that_one_click_cannot_use_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        lh.list_unsubscribe(url)


def test_one_machine_alone_may_try_without_a_certificate() -> None:
    assert lh.list_unsubscribe("http://localhost:8025/u/a") == "<http://localhost:8025/u/a>"


@pytest.mark.parametrize("mailto", ["", "u@x.example?cc=eve@else.example", "u@x.example>", "a,b@x.example", "u\r\n@x"])
def test_a_mail_address_that_does_more_than_leave_is_refused(mailto: str) -> None:
    with pytest.raises(ValueError, match="name@domain"):
        lh.list_unsubscribe("https://u.example/u/a", mailto)


def test_a_list_has_one_identifier_and_perhaps_a_name() -> None:
    assert lh.list_id("news.shop.example") == "<news.shop.example>"
    assert lh.list_id("news.shop.example", "The letter") == "The letter <news.shop.example>"
    assert lh.list_id("news.shop.example", 'The "letter", weekly') == '"The \\"letter\\", weekly" <news.shop.example>'


@pytest.mark.parametrize(
    ("identifier", "name"),
    [("news", ""), ("news shop.example", ""), ("news.shop.example>", ""), ("a.example", "é"), ("a.example", "x\r\n")]
    + [("a.example", "n" * 250)],
)
def test_a_list_id_that_receivers_cannot_read_is_refused(identifier: str, name: str) -> None:
    with pytest.raises(ValueError, match="List-Id"):
        lh.list_id(identifier, name)


def test_feedback_id_has_four_fields_and_ends_with_the_sender() -> None:
    assert lh.feedback_id("c12", "w3", "marketing", "envol1") == "c12:w3:marketing:envol1"
    assert lh.feedback_id("", "", "", "envol1") == ":::envol1"


@pytest.mark.parametrize(
    "fields", [("a:b", "", "", "envol1"), ("", "", "", "env"), ("", "", "", "e" * 16), ("\n", "", "", "envol1")]
)
def test_a_feedback_id_that_would_shift_its_fields_is_refused(fields: tuple[str, str, str, str]) -> None:
    with pytest.raises(ValueError, match="Feedback-ID"):
        lh.feedback_id(*fields)
