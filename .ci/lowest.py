"""The lowest versions that pyproject.toml claims, as a constraints file for pip on standard output.

Read from the claims themselves, so that the two cannot part: `accelerate>=1.10` becomes `accelerate==1.10`, what a
user may have. What only the tests need is held to its claim, too.
"""

from __future__ import annotations

import re
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
    print("\n".join(dict.fromkeys(constraints(PROJECT.read_text(encoding="utf-8")))))
