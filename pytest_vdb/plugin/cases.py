"""Which tests there are: one flat parametrisation over model x prompt x sample.

One `parametrize` call, because stacking them costs a quarter more time and memory at 50,000 tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from pytest_vdb.bench.session import Session
    from pytest_vdb.records import Prompt
    from pytest_vdb.sweeps import Point


Thing = TypeVar("Thing")

SEPARATOR = "--"
"""Between the parts of a test id."""


class Case(NamedTuple):
    """What one test is about. A test that asks for no model (or no prompt) has none."""

    model: str | None
    prompt: Prompt | None
    sample_index: int = 0
    point: Point | None = None
    """Of the sweep, where there is one and the test is about a model."""


def cases(
    models: Sequence[str | None],
    prompts: Sequence[Prompt | None],
    samples: int,
    points: Sequence[Point | None] = (None,),
) -> list[Case]:
    """Models outermost, then the points of a sweep: so a session without xdist loads and warms each one once."""
    return [
        Case(model, prompt, index, point)
        for model in models
        for point in points
        for prompt in prompts
        for index in range(samples)
    ]


def cases_of(session: Session, *, with_model: bool, with_prompt: bool) -> list[Case]:
    """The flat parametrisation of one test function; every recipe is resolved (and refused) here.

    A point of a sweep that a model cannot follow is a test all the same: it is skipped, with the reason.

    Raises:
        VdbError: an unknown name, a broken prompt file, a recipe that a model cannot follow.
    """
    models = [card.name for card in session.models] if with_model else [None]
    points = session.points if with_model else (None,)
    if with_model and None in points:
        for card in session.models:
            session.recipe(card)
    prompts: list[Prompt | None] = list(session.suite.prompts) if with_prompt else [None]
    return cases(models, prompts, session.options.samples if with_prompt else 1, points)


def case_ids(listed: Iterable[Case]) -> list[str]:
    """`MODEL--PROMPT`, `MODEL--PROMPT--s1` for further samples: never a prompt's text.

    Of a sweep each setting is a part of its own: `MODEL--PROMPT--steps-10--batch-2`.

    No slug holds two hyphens in a row, so model and prompt are told apart in any spelling.
    """
    slugs: dict[str, str] = {}

    def known(name: str) -> str:
        if name not in slugs:
            slugs[name] = slug(name)
        return slugs[name]

    ids = []
    for case in listed:
        parts = [known(name) for name in (case.model, case.prompt and case.prompt.id) if name]
        parts += [known(f"{setting}-{value}") for setting, value in (case.point.values if case.point else ())]
        if case.sample_index:
            parts.append(f"s{case.sample_index}")
        ids.append(SEPARATOR.join(parts) or "session")
    return ids


def grouped(things: Iterable[Thing], key: Callable[[Thing], Hashable]) -> list[Thing]:
    """Equal keys next to each other: groups in the order of their first member, members in the order they had."""
    groups: dict[Hashable, list[Thing]] = {}
    for thing in things:
        groups.setdefault(key(thing), []).append(thing)
    return [thing for group in groups.values() for thing in group]


def slug(name: str) -> str:
    """`name` as part of a test id or file name: no separator, no markup, no leading dot, and still unique.

    A name that had to be changed carries twelve hex digits of its digest, so two names never become one.
    """
    from pytest_vdb.records import digest

    safe = re.sub(r"[^A-Za-z0-9._+-]+", "_", name)
    safe = re.sub(r"-{2,}", "-", safe).strip(".-_")[:60].rstrip("-")
    return safe if safe == name else f"{safe or 'name'}~{digest(name, length=12)}"
