"""What commands say: tables for people, JSON for programs, warnings on stderr. Everything leaves through here.

Names and messages from outside are shown, never obeyed, and no output encoding ends in a traceback.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence

from pytest_vdb.escaping import json_text, lines, visible


def encode_everything() -> None:
    """Let a stream that is not UTF-8 (a redirect on Windows, `LANG=C`) show `?` for what it cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a test's or an editor's stand-in may have none
        if reconfigure is not None:
            reconfigure(errors="replace")


def show(text: object = "") -> None:
    """On stdout, for people."""
    print(lines(text))


def warn(text: object) -> None:
    """On stderr: what to know besides the answer. Whoever shows a progress bar keeps it whole."""
    from tqdm import tqdm

    tqdm.write(lines(f"vdb: {text}"), file=sys.stderr)


def print_json(value: object) -> None:
    """Indented, in the order given."""
    print(json_text(json.dumps(value, indent=2, ensure_ascii=False, default=str)))


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A missing value is a dash."""
    from tabulate import tabulate

    cells = [[None if cell is None else visible(cell) for cell in row] for row in rows]
    show(tabulate(cells, headers=list(header), tablefmt="simple", missingval="–", disable_numparse=True))
