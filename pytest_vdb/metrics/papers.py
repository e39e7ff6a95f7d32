"""The papers that define our metrics, as BibTeX; each metric declares the keys of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_ENTRY = re.compile(r"^@\w+\{(?P<key>\w+),\n(?P<fields>.*?)\n\}$", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^  (?P<name>\w+) = \{(?P<value>.*)\},$", re.MULTILINE)
_MARKUP = re.compile(r"\\\W|[{}\\]")


@dataclass(frozen=True, slots=True)
class Paper:
    """An entry of the bibliography."""

    key: str
    text: str
    """As BibTeX reads it."""
    fields: Mapping[str, str]

    @property
    def short(self) -> str:
        """`Huang et al. 2024`, `Bradley and Terry 1952`: for text that has no bibliography."""
        names = [_plain_letters(author.partition(",")[0]) for author in self.fields["author"].split(" and ")]
        who = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
        return f"{who} {self.fields['year']}"


@cache
def papers() -> Mapping[str, Paper]:
    """Every paper by its key, in the order of the keys."""
    text = Path(__file__).with_suffix(".bib").read_text(encoding="utf-8")
    return {
        found["key"]: Paper(found["key"], found[0], dict(_FIELD.findall(found["fields"])))
        for found in _ENTRY.finditer(text)
    }


def _plain_letters(name: str) -> str:
    r"""`Bi{\'n}kowski` as `Binkowski`."""
    return _MARKUP.sub("", name)
