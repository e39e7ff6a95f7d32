"""Which tests there are: one flat parametrisation over model x prompt x sample.

One `parametrize` call, because stacking them costs a quarter more time and memory at 50,000 tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from pytest_vdb.records import Prompt


Thing = TypeVar("Thing")


class Case(NamedTuple):
    """What one test is about. A test that asks for no model (or no prompt) has none."""

    model: str | None
    prompt: Prompt | None
    sample_index: int = 0


def cases(models: Sequence[str | None], prompts: Sequence[Prompt | None], samples: int) -> list[Case]:
    """Models outermost, so that a session without xdist loads each one once."""
    return [Case(model, prompt, index) for model in models for prompt in prompts for index in range(samples)]


def case_ids(listed: Iterable[Case]) -> list[str]:
    """`MODEL-PROMPT`, `MODEL-PROMPT-s1` for further samples: never a prompt's text."""
    slugs: dict[str, str] = {}

    def known(name: str) -> str:
        if name not in slugs:
            slugs[name] = slug(name)
        return slugs[name]

    ids = []
    for case in listed:
        parts = [known(name) for name in (case.model, case.prompt and case.prompt.id) if name]
        if case.sample_index:
            parts.append(f"s{case.sample_index}")
        ids.append("-".join(parts) or "session")
    return ids


def grouped(things: Iterable[Thing], key: Callable[[Thing], Hashable]) -> list[Thing]:
    """Equal keys next to each other: groups in the order of their first member, members in the order they had."""
    groups: dict[Hashable, list[Thing]] = {}
    for thing in things:
        groups.setdefault(key(thing), []).append(thing)
    return [thing for group in groups.values() for thing in group]


def slug(name: str) -> str:
    """`name` as part of a test id or file name: no separator, no markup, no leading dot, and still unique.

    A name that had to be changed carries four hex digits of its digest, so two names never become one.
    """
    from pytest_vdb.records import digest

    safe = re.sub(r"[^A-Za-z0-9._+-]+", "_", name).lstrip(".-_")[:60]
    return safe if safe == name else f"{safe or 'name'}~{digest(name, length=4)}"


def model_of(nodeid: str, slugs: Sequence[str]) -> str | None:
    """The model slug that a test id begins with, the longest one that fits.

    Args:
        nodeid: `path::test[MODEL-PROMPT]`.
        slugs: slugs of the known models, longest first.
    """
    parameters = nodeid.rpartition("[")[2].rstrip("]") if nodeid.endswith("]") else ""
    return next((s for s in slugs if parameters == s or parameters.startswith(f"{s}-")), None)
