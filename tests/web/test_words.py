"""French and English are equal: nothing is said that lacks its French, nothing is kept that nobody says."""

from __future__ import annotations

import re

from babel.messages.pofile import read_po

from envol.web.words import PO, said


def catalogue() -> dict[tuple[str, str | None], tuple[str, ...]]:
    with open(PO, "rb") as source:
        found = read_po(source, locale="fr")
    made = {}
    for message in found:
        if message.id and not message.fuzzy:
            key = message.id[0] if isinstance(message.id, tuple) else message.id
            made[key, message.context] = message.string if isinstance(message.string, tuple) else (message.string,)
    return made


def test_every_sentence_has_its_french() -> None:
    known = catalogue()
    spoken = list(said())
    assert len(spoken) > 500
    for message, context in spoken:
        key = message[0] if isinstance(message, tuple) else message
        forms = known.get((key, context), ())
        assert len(forms) == (2 if isinstance(message, tuple) else 1) and all(forms), f"no French for {key!r}"


def test_the_catalogue_holds_only_what_is_said() -> None:
    spoken = {(m[0] if isinstance(m, tuple) else m, c) for m, c in said()}
    assert set(catalogue()) == spoken


def test_translations_keep_the_placeholders() -> None:
    for (key, _), forms in catalogue().items():
        for form in forms:
            assert set(re.findall(r"%\(\w+\)s", form)) <= set(re.findall(r"%\(\w+\)s", key)), key
        assert set(re.findall(r"%\(\w+\)s", key)) == set(re.findall(r"%\(\w+\)s", forms[-1])), key


def test_french_typography() -> None:
    """A narrow no-break space before ; : ! ? % and inside « »; never a plain or missing one."""
    for (key, _), forms in catalogue().items():
        for form in forms:
            bare = re.sub(r"%\(\w+\)s|<[^>]*>|&lt;|&gt;|https?:\S*|\{.*\}|\w+/\w+|type:valeur|customer:\d+", "", form)
            assert not re.search(r"[^\u202f\s][;:!?»]|[ \u00a0][;:!?%»]|«[^\u202f]", bare), (key, form)


def test_no_translation_says_it_twice() -> None:
    """Two branches that add the same sentence may unite into one that stands there doubled."""
    for (key, _), forms in catalogue().items():
        for form in forms:
            half = len(form) // 2
            assert len(form) < 9 or form[:half] != form[half:], key
