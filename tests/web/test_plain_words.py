"""What people who are no members read is plain (GDPR art. 12(1)): short sentences, in both languages alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from statistics import mean

import pytest

from envol.collect import mail
from envol.consent import purposes
from envol.outbound import requests
from envol.web.public.words import WORDS

LONGEST = 22
"""Words of a sentence, or of what stands between colons and semicolons of one."""
USUAL = 9


def told(language: str) -> Iterator[tuple[str, str]]:
    """(where, text) of the public pages, of mails to people, and of the first words of each purpose."""
    for key, by_language in WORDS.items():
        yield key, by_language[language]
    for one in (mail._WORDS, mail._PARENT):
        yield from one[language].items()
    for kind, of in requests._WORDS.items():
        yield from ((kind, text) for text in of[language])
    for key, _label_fr, _label_en, _kind, fr, en in (*purposes._DEFAULTS, *purposes._OFFERED):
        yield key, fr if language == "fr" else en


def sentences(text: str) -> list[list[str]]:
    parts = re.split(r"(?<=[.!?…:;])\s+|\n+", re.sub(r"<[^>]+>", " ", text))
    return [words for part in parts if (words := re.findall(r"[^\W_][\w’'-]*", part))]


@pytest.mark.parametrize("language", ["fr", "en"])
def test_sentences_are_short(language: str) -> None:
    found = [(where, words) for where, text in told(language) for words in sentences(text)]
    assert len(found) > 250
    long = [(where, " ".join(words)) for where, words in found if len(words) > LONGEST]
    assert not long, long
    assert mean(len(words) for _, words in found if len(words) > 3) <= USUAL


def test_nothing_is_said_in_one_language_alone() -> None:
    assert all(set(by) == {"fr", "en"} and all(by.values()) for by in WORDS.values())


def test_a_long_sentence_would_be_found() -> None:
    assert [len(one) for one in sentences("One two three. " + "word " * 30 + "end: and so on")] == [3, 31, 3]
