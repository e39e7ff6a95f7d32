"""Writes docs/models-that-run.md: every pipeline class of the catalogue, loaded and asked for one clip, tiny.

Run it from the repository: `python docs/models_that_run.py > docs/models-that-run.md`. Seconds are CPU seconds of one
thread, so that a busy machine changes them little.
"""

from __future__ import annotations

import gc
import platform
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pytest_vdb.errors import VdbError
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.pipelines import quirks
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.models.weights import architectures, blueprints, parameter_counts, tiny
from pytest_vdb.records import Prompt, Recipe

PROMPT = Prompt(id="p001", text="a red cat walks on grass", negative="blurry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one class did."""

    card: ModelCard
    size: str = ""
    build: float | None = None
    load: float | None = None
    clip: float | None = None
    failure: str = ""


def main() -> None:
    """Print the page."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    registry = Registry.from_catalog()
    cards = [card for card in registry.select("all") if card.pipeline is not None]
    number = Counter(card.pipeline for card in cards)
    first = {card.pipeline: card for card in reversed(cards)} | {c.pipeline: c for c in reversed(cards) if not c.broken}
    with tempfile.TemporaryDirectory() as folder:
        source = WeightsSource(mode="tiny", device="cpu", cache_dir=Path(folder), offline=True)
        outcomes = [_try(registry, first[name], source) for name in sorted(first, key=str)]
    for line in _page(outcomes, number, [parameter_counts.count(card) for card in cards]):
        print(line)


def _try(registry: Registry, card: ModelCard, source: WeightsSource) -> Outcome:
    if card.broken is not None:
        return Outcome(card=card, failure=card.broken)
    print(card.pipeline, file=sys.stderr, flush=True)
    try:
        recipe = resolve(card, Recipe(), "tiny")
        start = time.process_time()
        tiny.ensure(card.pipeline or "", source.cache_dir)
        built = time.process_time()
        model = registry.open(card, recipe, source)
        loaded = time.process_time()
        try:
            made = model.generate(PROMPT, recipe, 1).frames.shape
        finally:
            model.close()
        done = time.process_time()
    except VdbError as error:
        return Outcome(card=card, failure=" ".join(str(error).split()))
    except Exception as error:  # noqa: BLE001 - whatever a pipeline raises is what this page is to show
        return Outcome(card=card, failure=f"{type(error).__name__}: {' '.join(str(error).split())}")
    finally:
        gc.collect()
    size = f"{made[0]} x {made[1]} x {made[2]}"
    return Outcome(card=card, size=size, build=built - start, load=loaded - built, clip=done - loaded)


def _page(
    outcomes: list[Outcome], number: Counter[str | None], counts: list[parameter_counts.ParameterCount]
) -> list[str]:
    ran = [outcome for outcome in outcomes if not outcome.failure]
    total = sum((outcome.load or 0) + (outcome.clip or 0) for outcome in ran)
    versions = ", ".join(f"{name} {version(name)}" for name in ("diffusers", "transformers", "torch"))
    return [
        "# Models that run",
        "",
        "Written by `python docs/models_that_run.py > docs/models-that-run.md`; do not edit.",
        "",
        f"{len(ran)} of {len(outcomes)} pipeline classes load and make a clip with `tiny` weights ({versions}, Python "
        f"{platform.python_version()}, CPU). Seconds are CPU seconds of one thread: to build the tiny weights once, to "
        f"load them, and for the first clip; loading and clips take {total:.0f} s together. What runs tiny is wired; "
        "whether published weights make good clips is another question.",
        "",
        "| class | models | frames x height x width | build s | load s | clip s |",
        "|---|---|---|---|---|---|",
        *(_row(outcome, number) for outcome in ran),
        "",
        "## Do not run",
        "",
        *(f"- `{o.card.pipeline}` (`{o.card.name}`): {o.failure}" for o in outcomes if o.failure),
        "",
        "## Have no card",
        "",
        "Pipelines of diffusers that take or make video and are not in the catalogue:",
        "",
        *(f"- `{name}`: {reason}" for name, reason in quirks.without_card().items()),
        "",
        "## Parameters",
        "",
        *_parameters(counts),
    ]


def _parameters(counts: list[parameter_counts.ParameterCount]) -> list[str]:
    compared = [count for count in counts if count.difference is not None]
    worst = max(compared, key=lambda count: abs(count.difference or 0))
    wrong = sum(count.agrees is False for count in compared)
    without = ", ".join(f"`{count.model}`" for count in counts if count.counted is None)
    differences = list(_against_published())
    name, role, difference = max(differences, key=lambda each: abs(each[2]))
    return [
        f"{len(compared)} of {len(counts)} cards have a full-size architecture, which is counted without making it "
        f"(`vdb models --check`); {wrong} differ from their card by more than {parameter_counts.TOLERANCE:.0%}, the "
        f"worst is `{worst.model}`: {worst.difference:+.2%}.",
        "",
        f"{len(differences)} components of {len({each[0] for each in differences})} architectures have a figure that "
        f"was published or read off the released files (sources in `architectures/full/`); the worst is the {role} of "
        f"`{name}`: {difference:+.2%}.",
        "",
        f"Without an architecture, so without `random` weights: {without}.",
    ]


def _against_published() -> Iterator[tuple[str, str, float]]:
    for name, plan in blueprints.blueprints("full").items():
        figures = {role: figure for role, figure in plan.published.items() if isinstance(figure, int | float)}
        counted = architectures.count_parameters(name) if figures else {}
        yield from ((name, role, counted[role] / figure - 1) for role, figure in figures.items())


def _row(outcome: Outcome, number: Counter[str | None]) -> str:
    seconds = " | ".join(f"{value:.2f}" for value in (outcome.build, outcome.load, outcome.clip) if value is not None)
    return f"| `{outcome.card.pipeline}` | {number[outcome.card.pipeline]} | {outcome.size} | {seconds} |"


if __name__ == "__main__":
    main()
