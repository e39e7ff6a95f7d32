"""What comes from outside leaves harmless: names, prompts, messages and paths, made fit for where they are shown.

A terminal obeys control characters, an editor bidirectional marks, a CI runner lines that begin with `::`, and a
spreadsheet fields that begin with `=`; a file system takes `..` and `/` for folders and `aux` for a device. Here is the
door of each of them; HTML, LaTeX and Markdown have theirs in their reporters.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Control, format (bidirectional and zero-width), surrogates, private use, line and paragraph separators."""

_FORMULA = tuple("=+-@|%\u2212\uff1d\uff0b\uff0d\uff20")
"""What a spreadsheet takes for the beginning of a formula; some fold the full-width forms to the plain ones."""


def visible(text: object) -> str:
    """One line without control, bidirectional or other invisible characters: those are written as `\\x1b`, `\\u202e`.

    What a terminal, an editor or a spreadsheet would obey is thereby only shown, and can be encoded as UTF-8.
    """
    shown = str(text)
    return shown if shown.isascii() and shown.isprintable() else "".join(map(_visible, shown))


def encodable(text: str) -> str:
    """Text that can be written as UTF-8: bytes of a file's name that were none are shown as `\\udce9`."""
    return text.encode("utf-8", "backslashreplace").decode()


def lines(text: object) -> str:
    """Several lines for a terminal or a log: each as `visible` has it, and none of them a command to a CI runner.

    GitHub, GitLab and Azure take a line that begins with `::` or `##[` for an order of the job's own.
    """
    return inert("\n".join(map(visible, str(text).replace("\r\n", "\n").split("\n"))))


def inert(text: str) -> str:
    """The output of another program, colours and all, but with no line that is a command to a CI runner."""
    return "\n".join(map(_no_command, text.split("\n")))


def workflow_command(name: str, message: object, **properties: object) -> str:
    """A line that is a command to GitHub's runner, `::error title=A::B`, and no more than this one.

    Neither the message nor a property can end it: line breaks, `%` and, in properties, `:` and `,` are written as
    GitHub reads them (its `toolkit`, `packages/core/src/command.ts`).

    Args:
        name: `error`, `warning` or `notice`.
        message: several lines, if need be; each as `visible` has it.
        properties: `title`, `file`, `line`.
    """
    told = "\n".join(map(visible, str(message).replace("\r\n", "\n").split("\n")))
    given = ",".join(
        f"{key}={_percent_escaped(visible(value), '%:,')}" for key, value in properties.items() if value is not None
    )
    return f"::{name}{' ' if given else ''}{given}::{_percent_escaped(told, '%')}"


def json_text(text: str) -> str:
    """JSON with every invisible character as its escape: the same value, and nothing that a terminal obeys."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(_json_escape(character) for character in text)


def spreadsheet(text: object) -> str:
    """Text that no spreadsheet takes for a formula (OWASP: a leading apostrophe)."""
    shown = visible(text)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


def shortened(text: str, most: int) -> str:
    """At most so many characters. The middle is left out: names that differ at either end still do."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def few(names: Sequence[str], most: int = 8) -> str:
    """`a, b, …`: the first names of a list that may be long."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def file_name(name: str) -> str:
    """`name` as the name of a file on every system: no folder, no hidden file, no device, at most 75 characters.

    A name that had to be changed carries twelve digits of its digest: two names never become one, but for names that
    differ by case alone, which some systems do not tell apart (see `file_names`).
    """
    plain = _plain_name(name)
    return plain if plain == name else f"{plain}~{_told(name)}"


def file_names(names: Sequence[str]) -> list[str]:
    """Names of files that stand in one folder, as plain as they can be and still differ, also where case is ignored."""
    plain = [_plain_name(name) for name in names]
    alike = Counter(one.lower() for one in plain)
    found: list[str] = []
    for name, one in zip(names, plain, strict=True):
        readable = alike[one.lower()] == 1 and one != _NAMELESS and len(one) < _LONGEST
        made = one if readable else f"{one}~{_told(name)}"
        again = found.count(made)  # the very same name twice
        found.append(f"{made}~{again + 1}" if again else made)
    return found


def _plain_name(name: str) -> str:
    safe = _UNSAFE.sub("_", name)[:_LONGEST].strip(".-_ ") or _NAMELESS
    return f"_{safe}" if safe.partition(".")[0].lower() in _DEVICES else safe


def _told(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]


_NAMELESS = "name"
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")
_LONGEST = 60
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))})
"""What Windows takes for a device, with any ending."""


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


def _percent_escaped(text: str, special: str) -> str:
    return "".join(f"%{ord(one):02X}" if one in special or one in "\r\n" else one for one in text)


def _no_command(line: str) -> str:
    bare = line.lstrip()
    if not bare.startswith(("::", "##[")):
        return line
    indent = line[: len(line) - len(bare)]
    return f"{indent}\\{bare}"
