"""Compile the catalogues of words (.po → .mo) with Babel, so that no GNU gettext is needed to build."""

from __future__ import annotations

import sys
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po


def compile_all(folder: Path) -> list[str]:
    """Compile every catalogue below ``folder``; the messages that lack a translation, as sentences."""
    missing = []
    for po in sorted(folder.glob("*/LC_MESSAGES/*.po")):
        language = po.parent.parent.name
        with open(po, "rb") as source:
            catalog = read_po(source, locale=language)
        for message in catalog:
            texts = message.string if isinstance(message.string, list | tuple) else [message.string]
            if message.id and (message.fuzzy or not all(texts)) and language != "en":
                missing.append(f"{po}: {message.id!r} has no translation")
        with open(po.with_suffix(".mo"), "wb") as out:
            write_mo(out, catalog)
    return missing


if __name__ == "__main__":
    lacking = compile_all(Path(__file__).resolve().parent.parent / "web" / "locale")
    sys.exit("\n".join(lacking) if lacking else 0)
