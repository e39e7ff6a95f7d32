"""What comes from outside leaves harmless: names, prompts, messages and paths, made fit for where they are shown.

A terminal obeys control characters, an editor bidirectional marks, a CI runner lines that begin with `::`, and a
spreadsheet fields that begin with `=`. Here is the door of each of them; HTML, LaTeX and Markdown have theirs in their
reporters.
"""

from __future__ import annotations

import unicodedata

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Control, format (bidirectional and zero-width), surrogates, private use, line and paragraph separators."""

_FORMULA = tuple("=+-@|%\u2212\uff1d\uff0b\uff0d\uff20")
"""What a spreadsheet takes for the beginning of a formula; some fold the full-width forms to the plain ones."""


def visible(text: object) -> str:
    """One line without control, bidirectional or other invisible characters: those are written as `\\x1b`, `\\u202e`.

    What a terminal, an editor or a spreadsheet would obey is thereby only shown, and can be encoded as UTF-8.
    """
    return "".join(map(_visible, str(text)))


def lines(text: object) -> str:
    """Several lines for a terminal or a log: each as `visible` has it, and none of them a command to a CI runner.

    GitHub, GitLab and Azure take a line that begins with `::` or `##[` for an order of the job's own.
    """
    return "\n".join(_no_command(visible(line)) for line in str(text).replace("\r\n", "\n").split("\n"))


def json_text(text: str) -> str:
    """JSON with every invisible character as its escape: the same value, and nothing that a terminal obeys."""
    return "".join(_json_escape(character) for character in text)


def spreadsheet(text: object) -> str:
    """Text that no spreadsheet takes for a formula (OWASP: a leading apostrophe)."""
    shown = visible(text)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


def _visible(character: str) -> str:
    if character in "\n\r\t":
        return " "
    if unicodedata.category(character) in _INVISIBLE:
        code = ord(character)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return character


def _json_escape(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in _INVISIBLE:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _no_command(line: str) -> str:
    bare = line.lstrip()
    if not bare.startswith(("::", "##[")):
        return line
    indent = line[: len(line) - len(bare)]
    return f"{indent}\\{bare}"
