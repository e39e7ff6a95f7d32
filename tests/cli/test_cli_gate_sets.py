"""`vdb gate` on metrics of whole sets: both runs' clips are swapped prompt by prompt, where both kept what was seen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from written_runs import ENVIRONMENT

from pytest_vdb.cli import main
from pytest_vdb.metrics import reference
from pytest_vdb.metrics.contract import ReferenceFeatures
from pytest_vdb.metrics.engine import Engine, Scores
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.records import Prompt, Record, Run
from pytest_vdb.results import features
from pytest_vdb.results.journal import Journal

THROUGH = "i3d of a test"
MANY = 40


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    seen = np.random.default_rng(5).standard_normal((200, 8)).astype(np.float32)
    reference.save(tmp_path / "real.npz", {"i3d": ReferenceFeatures(source="real", features=seen, identity=THROUGH)})
    return tmp_path


def night(place: Path, day: int, shift: float = 0.0, *, prompts: int = MANY, metric: str = "kvd") -> str:
    """A run whose clips differ a little from any other day's, and by a shift; its set metric as sessions have it."""
    run = Run(
        id=f"202601{day:02}-000000-abcdef",
        started_at=f"2026-01-{day:02}T00:00:00Z",
        finished_at=f"2026-01-{day:02}T01:00:00Z",
        environment=ENVIRONMENT,
        options={"reference": str(place / "real.npz")},
    )
    journal = Journal.create(place / "reports", run)
    usual, noise = (np.random.default_rng(seed) for seed in (1, 100 + day))
    about = {"run": run.id, "model": "a", "status": "passed", "weights": "hub", "recipe_digest": "r"}
    scores, asked = [], []
    for index in range(prompts):
        seen = usual.standard_normal(8) + 0.2 * noise.standard_normal(8) + shift
        prompt, name = Prompt(id=f"p{index}", text="a cat"), f"features/p{index}.npz"
        features.save(journal.folder / name, {"i3d": seen.astype(np.float32)}, {"i3d": THROUGH})
        scores.append(Scores((), {"i3d": seen.astype(np.float32)}, {"i3d": THROUGH}))
        asked.append(prompt)
        named = {"nodeid": f"t.py::test_generation[a-p{index}]", "benchmark": "t.py::test_generation"}
        journal.append(Record(**about, **named, prompt=prompt.id, seed=index, features=name))
    engine = Engine(MetricRegistry.builtin().select(metric), cache_dir=place)
    measured = engine.measure_set(scores, prompts=asked, references=reference.load(place / "real.npz"))
    named = {"nodeid": "vdb-sets::t.py::test_generation[a]", "benchmark": "t.py::test_generation"}
    journal.append(Record(**about, **named, measurements=measured))
    journal.finish(run)
    return str(journal.folder)


def verdict(capsys, now: str, before: str, rule: str = "kvd:+0%") -> dict:
    main(["gate", now, "--baseline", before, "--fail-on", rule, "--json"])
    (found,) = json.loads(capsys.readouterr().out)
    return found


def test_a_shift_of_all_clips_is_seen_which_the_bars_of_either_side_hide(place, capsys):
    before, worse = night(place, 1, metric="fvd"), night(place, 2, 0.43, metric="fvd")
    found = verdict(capsys, worse, before, "fvd:+0%")
    assert found["verdict"] == "regressed"
    assert f"over {MANY} clips of each" in found["reason"]
    main(["baseline", "save", before, "-o", "main.json"])
    capsys.readouterr()
    alone = verdict(capsys, worse, "main.json", "fvd:+0%")
    assert alone["verdict"] == "inconclusive"
    assert "by either side's bar alone: a baseline file keeps nothing of what its network saw" in alone["reason"]
    assert found["p"] < 0.05 < alone["p"]


def test_what_differs_by_noise_does_not_regress_and_the_same_set_needs_no_test(place, capsys):
    before, after = night(place, 1), night(place, 2)
    assert verdict(capsys, after, before)["verdict"] == "inconclusive"
    same = verdict(capsys, before, before)
    assert (same["verdict"], same["p"]) == ("equivalent", None)


def test_a_run_of_fewer_prompts_is_compared_over_those_that_both_have(place, capsys):
    before, fewer = night(place, 1), night(place, 2, prompts=30)
    found = verdict(capsys, fewer, before, "kvd:+1000%")
    assert "over 30 clips of each" in found["reason"]
    whole = verdict(capsys, night(place, 3, prompts=30), before, "kvd:+1000%")
    assert found["baseline_mean"] == whole["baseline_mean"] != verdict(capsys, before, before)["baseline_mean"]


def test_too_few_prompts_to_swap_say_how_many_would_do(place, capsys):
    found = verdict(capsys, night(place, 2, 3.0, prompts=4), night(place, 1, prompts=4))
    assert found["verdict"] == "inconclusive"
    assert "the clips of 4 prompts cannot show it, those of 5 could" in found["reason"]


def test_what_was_seen_and_is_gone_costs_the_swaps_and_not_the_verdict(place, capsys):
    before, after = night(place, 1), night(place, 2, 0.5)
    shutil.rmtree(Path(before) / "features")
    found = verdict(capsys, after, before)
    assert "by either side's bar alone" in found["reason"]
    assert found["verdict"] in {"regressed", "inconclusive"}


def test_another_version_of_the_metric_than_ours_is_not_computed_again(place, capsys):
    runs = night(place, 1), night(place, 2, 0.12)
    for run in runs:
        records = Path(run) / "records.jsonl"
        records.write_text(records.read_text().replace("cubic-unbiased", "ours"))
    assert "its version is ours+" in verdict(capsys, *reversed(runs))["reason"]


def test_a_reference_set_that_is_gone_costs_the_swaps_and_not_the_verdict(place, capsys):
    before, after = night(place, 1), night(place, 2, 0.5)
    (place / "real.npz").unlink()
    assert "by either side's bar alone: needs a reference set" in verdict(capsys, after, before)["reason"]


def test_a_distance_at_infinitely_many_clips_can_spare_some_of_them(place, capsys):
    before, after = (night(place, day, shift, metric="fvd_infinity") for day, shift in ((1, 0.0), (2, 1.0)))
    found = verdict(capsys, after, before, "fvd_infinity:+0%")
    assert found["verdict"] == "regressed"
    assert f"over {MANY} clips of each" in found["reason"]


def test_tests_that_failed_and_prompts_with_another_text_are_no_pairs(place, capsys):
    runs = night(place, 1), night(place, 2, 0.1)
    for day, run in enumerate(runs):
        path = Path(run) / "records.jsonl"
        lines = path.read_text().replace('"prompt":"p0"', f'"prompt":"p0","prompt_text":"{day}"').splitlines()
        lines = [line.replace('"passed"', '"failed"') if day and "[a-p1]" in line else line for line in lines]
        path.write_text("\n".join(lines) + "\n")
    assert f"over {MANY - 2} clips of each" in verdict(capsys, *reversed(runs), "kvd:+1000%")["reason"]


def test_runs_without_a_prompt_in_common_say_so(place, capsys):
    runs = night(place, 1), night(place, 2, 0.1)
    path = Path(runs[1]) / "records.jsonl"
    path.write_text(path.read_text().replace('"prompt":"p', '"prompt":"q'))
    assert "no clip of the same prompt and seed" in verdict(capsys, *reversed(runs))["reason"]
