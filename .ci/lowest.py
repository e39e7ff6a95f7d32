"""Write the lowest versions that pyproject.toml claims as a constraints file for pip.

    python .ci/lowest.py FILE

Read from the claims themselves, so that the two cannot part: `accelerate>=1.10` becomes `accelerate==1.10`, what a
user may have. What only the tests need is held to its claim, too.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
EXTRA = "test"


def constraints(text: str) -> Iterator[str]:
    """One line for each requirement of the project and of the extra.

    Raises:
        ValueError: a requirement without a lowest version.
    """
    project = tomllib.loads(text)["project"]
    for requirement in (*project["dependencies"], *project["optional-dependencies"][EXTRA]):
        match = re.match(r"([\w.-]+)\s*>=\s*([\d.]+)", requirement)
        if match is None:
            raise ValueError(f"{requirement!r} names no lowest version")
        yield f"{match[1]}=={match[2]}"


if __name__ == "__main__":
    lines = dict.fromkeys(constraints(PROJECT.read_text(encoding="utf-8")))
    Path(sys.argv[1]).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
