"""Tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence


def print_json(value: object) -> None:
    """Indented, in the order given."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A missing value is a dash."""
    from tabulate import tabulate

    print(tabulate(rows, headers=list(header), tablefmt="simple", missingval="–", disable_numparse=True))
