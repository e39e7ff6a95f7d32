"""Text that TeX sets and does not obey, and how wide it will be."""

from __future__ import annotations

import unicodedata

from pytest_vdb.escaping import visible

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\texttt{\char34}",
    "[": "{[}",  # not the optional argument of the line break before it
    "]": "{]}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "-": r"-{}",  # no ligatures: -- is two hyphens
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "×": r"$\times$",
    "°": r"\textdegree{}",
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "…": r"\ldots{}",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "±": r"$\pm$",
}
_ACCENTS = frozenset({"0300", "0301", "0302", "0303", "0308", "030A", "030C", "0327"})
"""Grave, acute, circumflex, tilde, diaeresis, ring, caron, cedilla: what every TeX text font can set."""
_WIDTHS = {
    0.28: "ijlI.,:;'!|[]",
    0.34: "-f `",
    0.4: "rst()J",
    0.46: "ceyz",
    0.53: "abdghknopquvx0123456789/_*?",
    0.69: "EFLPSTZ",
    0.84: "ABCDGHKNOQRUVXYmw+=<>#",
    1.03: "MW%@&—…",
}
"""Of Computer Modern in ems, each character's own or a little more (cmr10.tfm)."""
_WIDTH_OF = {character: width for width, characters in _WIDTHS.items() for character in characters}
_CODE_POINT = 3.2
"""Of `U+4E2D`, as which characters are written that the fonts lack."""


def escape(text: object) -> str:
    """`text` with nothing left that TeX would obey; what pdfLaTeX's T1 fonts lack is written as its code point."""
    return "".join(_ESCAPES.get(character) or _printable_character(character) for character in visible(text))


def width_of(text: object) -> float:
    """How wide `text` is at most when it is set, in ems of Computer Modern."""
    return sum(_width_of_character(character) for character in visible(text))


def _width_of_character(character: str) -> float:
    known = _WIDTH_OF.get(character)
    if known is not None:
        return known
    return 0.84 if character in _ESCAPES or not _code_point(character) else _CODE_POINT


def _printable_character(character: str) -> str:
    """ASCII, and letters that are an ASCII letter with one accent; all else as `U+4E2D`."""
    return rf"\texttt{{U+{ord(character):04X}}}" if _code_point(character) else character


def _code_point(character: str) -> bool:
    """Whether the fonts lack it."""
    base, _, mark = unicodedata.decomposition(character).partition(" ")
    accented = mark in _ACCENTS and int(base, 16) < 0x80
    return not (character.isascii() or accented)
