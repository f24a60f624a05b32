"""Small documents as PDF: a title, facts, text and tables. Loaded only where one is asked for (fpdf2).

The standard fonts know the western alphabets; a name in another one is written with DejaVu, where the system has it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_NARROW = {0x202F: " ", 0x2009: " ", 0x2011: "-", 0x2192: "->"}
_FONTS = Path("/usr/share/fonts/truetype/dejavu")
_CODING = "windows-1252"


class Paper:
    """One document. ``write`` answers its bytes."""

    def __init__(self, title: str, *, wide: bool = False, language: str = "fr") -> None:
        from fpdf import FPDF

        self._pdf: Any = FPDF(orientation="landscape" if wide else "portrait", format="A4")
        self._pdf.set_title(title)
        self._pdf.set_lang(language)
        self._pdf.set_creator("Envol")
        self._font = "helvetica"
        self._pdf.core_fonts_encoding = _CODING
        if (_FONTS / "DejaVuSans.ttf").exists() and (_FONTS / "DejaVuSans-Bold.ttf").exists():
            self._pdf.add_font("dejavu", "", _FONTS / "DejaVuSans.ttf")
            self._pdf.add_font("dejavu", "B", _FONTS / "DejaVuSans-Bold.ttf")
            self._font = "dejavu"
        self._pdf.set_auto_page_break(True, margin=15)
        self._pdf.add_page()
        self._text(title, 16, bold=True)
        self._pdf.ln(2)

    def _said(self, text: str) -> str:
        plain = text.translate(_NARROW)
        if self._font != "helvetica":
            return plain
        try:
            plain.encode(_CODING)
        except UnicodeEncodeError:
            bare = "".join(c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c))
            return bare.encode(_CODING, "replace").decode(_CODING)
        return plain

    def _text(self, text: str, size: float, *, bold: bool = False) -> None:
        self._pdf.set_font(self._font, "B" if bold else "", size)
        self._pdf.multi_cell(0, size * 0.5, self._said(text), new_x="LMARGIN", new_y="NEXT", align="L")

    def heading(self, text: str) -> None:
        self._pdf.ln(3)
        self._text(text, 12, bold=True)
        self._pdf.ln(1)

    def paragraph(self, text: str) -> None:
        self._text(text, 9.5)
        self._pdf.ln(1)

    def facts(self, pairs: Sequence[tuple[str, str]]) -> None:
        for label, text in pairs:
            self._text(label, 8.5, bold=True)
            self._text(text or "–", 9.5)
            self._pdf.ln(0.8)

    def table(self, head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
        self._pdf.set_font(self._font, "", 7)
        with self._pdf.table(line_height=3.6, padding=1, text_align="LEFT") as table:
            for line in (head, *lines):
                row = table.row()
                for cell in line:
                    row.cell(self._said(cell))

    def write(self) -> bytes:
        return bytes(self._pdf.output())
