"""Which prompts changed most: each in the metric in which it stands out, whatever samples and values it has."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from pytest_vdb.analysis.changes import most_changed
from pytest_vdb.analysis.comparison import Comparison, Side
from pytest_vdb.analysis.paired_sets import Swaps
from pytest_vdb.analysis.question import Question, answer
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.records import Environment, Measurement, Record, Run

HERE = Environment(python="3.11", platform="test", hardware="cpu", cpu="cpu", cpu_count=1, memory_mib=1)
Values = dict[tuple[str, int, str], float | None]
"""Prompt, sample, metric -> value; None: tried in vain."""


def side(name: str, values: Values) -> Side:
    samples = sorted({(prompt, sample) for prompt, sample, _ in values})
    records = [
        Record(
            run=name,
            nodeid=f"t.py::test[{prompt}-{sample}]",
            benchmark="t.py::test",
            model=name,
            status="passed",
            prompt=prompt,
            prompt_text=f"text of {prompt}",
            sample_index=sample,
            seed=sample,
            weights="hub",
            measurements=tuple(
                Measurement(
                    name=metric, value=value, reason=None if value is not None else "lost", unit="1", better="lower"
                )
                for (p, s, metric), value in values.items()
                if (p, s) == (prompt, sample)
            ),
        )
        for prompt, sample in samples
    ]
    run = Run(id=name, started_at="2026-01-01T00:00:00+00:00", environment=HERE)
    return Side(label=name, model=name, run=run, records=tuple(records), folder=Path())


def compared(first: Values, second: Values) -> Comparison:
    asked = Question(
        metrics="all",
        registry=MetricRegistry.builtin(),
        reference=None,
        any_recipe=False,
        swaps=Swaps(permutations=9, seed=0),
        cache_dir=Path(),
    )
    return answer(asked, side("a", first), side("b", second))


def told_one_by_one(first: Values, second: Values) -> dict[str, tuple[float, str, float, float]]:
    """Prompt -> how many times the usual difference, in which metric, A's and B's mean."""
    found: dict[str, tuple[float, str, float, float]] = {}
    for metric in ("spread", "shine", "same"):
        pairs = defaultdict(list)
        for place in sorted(first):
            a, b = first[place], second.get(place)
            if place[2] == metric and a is not None and b is not None:
                pairs[place[0]].append((a, b))
        differences = {prompt: math.fsum(a - b for a, b in both) / len(both) for prompt, both in pairs.items()}
        usual = math.sqrt(math.fsum(d**2 for d in differences.values()) / len(differences))
        for prompt, difference in differences.items():
            times = abs(difference) / usual if difference else 0.0
            if times > found.get(prompt, (0.0,))[0]:
                means = (math.fsum(pair[at] for pair in pairs[prompt]) / len(pairs[prompt]) for at in (0, 1))
                found[prompt] = (times, metric, *means)
    return found


@pytest.mark.parametrize("most_samples", [1, 3])
def test_it_is_what_looking_at_one_value_after_the_other_finds(most_samples):
    rng = np.random.default_rng(most_samples)
    first, second = Values(), Values()
    for prompt in range(9):
        for sample in range(int(rng.integers(1, most_samples + 1))):
            for metric in ("spread", "shine", "same"):
                place = f"p{prompt}", sample, metric
                first[place] = 0.5 if metric == "same" or prompt == 4 else float(rng.uniform())
                second[place] = 0.5 if metric == "same" or prompt == 4 else float(rng.uniform())
    first["p2", 0, "shine"] = None
    del second["p3", 0, "spread"]
    changes = most_changed(compared(first, second))
    known = told_one_by_one(first, second)
    assert {c.prompt: (c.times_usual, c.metric, c.first, c.second) for c in changes} == known
    assert [c.prompt for c in changes] == sorted(known, key=lambda prompt: -known[prompt][0])
    assert "p4" not in known
    assert all(c.text == f"text of {c.prompt}" for c in changes)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_differences_too_small_or_too_large_to_be_squared_are_told_too(scale):
    first, second = Values(), Values()
    for at, times in enumerate((1.0, 3.0, 0.0, 0.0, 0.0, 0.0)):
        first[f"p{at}", 0, "shine"], second[f"p{at}", 0, "shine"] = times * scale, 0.0
    changes = most_changed(compared(first, second))
    assert [(c.prompt, c.times_usual) for c in changes] == [
        ("p1", pytest.approx(3 / math.sqrt(10 / 6))),
        ("p0", pytest.approx(1 / math.sqrt(10 / 6))),
    ]
