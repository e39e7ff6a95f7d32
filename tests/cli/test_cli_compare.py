"""`vdb compare`: two models of a run, one model in two runs, scored clips; real files, real tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from written_runs import ENVIRONMENT

from pytest_vdb.cli import main
from pytest_vdb.metrics import reference
from pytest_vdb.metrics.contract import ReferenceFeatures
from pytest_vdb.metrics.kernels import KVD_KERNEL, kernel_swap_test, mmd2
from pytest_vdb.records import Environment, Measurement, Record, Run, digest, seed_of
from pytest_vdb.results import features
from pytest_vdb.results.journal import Journal
from pytest_vdb.shapes import moving_shapes
from pytest_vdb.statistics.families import benjamini_hochberg
from pytest_vdb.statistics.intervals import mean_interval, mean_p_values

I3D = "kinetics-400:deadbeef"
HERE = replace(ENVIRONMENT, hardware="H100", git_commit="1f0c2d9a7b")
RECIPE = {"frames": 17, "height": 64, "width": 64, "steps": 8}
RUN = "20260101-000000-abcdef"

Values = Mapping[str, Callable[[np.random.Generator, int], float]]


def sharp(level: float) -> Callable[[np.random.Generator, int], float]:
    """A metric that mostly depends on the prompt, and a little on the model."""
    return lambda rng, prompt: level + 0.5 * prompt + 0.01 * rng.standard_normal()


GOOD: Values = {"sharpness": sharp(1.1), "latency": lambda rng, _: 2 + 0.01 * rng.standard_normal()}
BAD: Values = {"sharpness": sharp(1.0), "latency": lambda rng, _: 2 + 0.01 * rng.standard_normal()}
ABOUT = {
    "sharpness": {"unit": "1", "better": "higher"},
    "cuts": {"unit": "cuts", "better": "neutral"},
    "latency": {"unit": "s", "better": "lower", "kind": "performance"},
    "load_time": {"unit": "s", "better": "lower", "kind": "performance"},
}


def records_of(
    model: str,
    values: Values,
    *,
    run: str = RUN,
    prompts: int = 8,
    samples: int = 1,
    base_seed: int = 0,
    shift: float | None = None,
    folder: Path | None = None,
    **more: object,
) -> list[Record]:
    """One record per prompt and sample; with a `shift`, features of their clips as well."""
    rng = np.random.default_rng(int(digest(model), 16) % 2**32)
    made = []
    for prompt in range(prompts):
        for sample in range(samples):
            name = f"{model}-p{prompt}-s{sample}"
            kept = None
            if shift is not None and folder is not None:
                kept = f"features/{name}.npz"
                seen = {"i3d": (rng.standard_normal(12) + shift).astype(np.float32)}
                features.save(folder / kept, seen, {"i3d": I3D})
            measured = [Measurement(name=of, value=value(rng, prompt), **ABOUT[of]) for of, value in values.items()]
            record = Record(
                run=run,
                nodeid=f"benchmarks/test_generation.py::test_generation[{name}]",
                benchmark="test_generation",
                model=model,
                status="passed",
                prompt=f"p{prompt}",
                prompt_text=f"text {prompt}",
                sample_index=sample,
                seed=seed_of(base_seed, f"p{prompt}", sample),
                weights="hub",
                recipe=RECIPE,
                recipe_digest=digest(RECIPE),
                suite="smoke@1",
                suite_digest="0123",
                hardware="H100",
                measurements=tuple(measured),
                features=kept,
            )
            made.append(replace(record, **more))
    return made


def write(output: Path, records: list[Record], *, run: str = RUN, environment: Environment = HERE) -> str:
    about = Run(id=run, started_at="2026-01-01T00:00:00+00:00", environment=environment)
    journal = Journal.create(output, about)
    for record in records:
        journal.append(replace(record, run=run))
    journal.finish(about)
    return str(journal.folder)


def of_set(model: str, *names: str) -> Record:
    measured = tuple(Measurement(name=name, value=1.0, unit="1", better="lower") for name in names)
    nodeid = f"vdb-sets::test_generation[{model}]"
    about = {"run": RUN, "nodeid": nodeid, "benchmark": "test_generation", "model": model, "status": "passed"}
    return Record(**about, weights="hub", measurements=measured)


def compared(capsys, *arguments: str) -> dict:
    """The only comparison, as JSON, its metrics by name."""
    assert main(["compare", *map(str, arguments), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    return found | {"metrics": {one["metric"]: one for one in found["metrics"]}}


def refused(capsys, *arguments: str) -> str:
    assert main(["compare", *map(str, arguments)]) == 1
    return capsys.readouterr().err


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def run(place) -> str:
    """Two models: one a little sharper on every prompt, equally fast."""
    return write(place, [*records_of("good", GOOD), *records_of("bad", BAD)])


@pytest.fixture
def sets(place) -> tuple[str, str]:
    """A run whose models are seen through a network, one nearer to the reference than the other; and the reference."""
    folder = place / "runs" / RUN
    near = records_of("near", {}, shift=0.1, folder=folder, prompts=9, samples=2)
    far = records_of("far", {}, shift=0.6, folder=folder, prompts=9, samples=2)
    real = np.random.default_rng(5).standard_normal((60, 12)).astype(np.float32)
    reference.save(place / "real.npz", {"i3d": ReferenceFeatures(source="real", features=real, identity=I3D)})
    return write(place, [*near, *far, of_set("near", "kvd", "fvd"), of_set("far", "kvd", "fvd")]), "real.npz"


# Clip metrics and costs ---------------------------------------------------------------------------------------------


def test_a_model_that_is_better_on_each_prompt_is_told_apart(run, capsys):
    found = compared(capsys, run, "good", "bad")
    sharpness, latency = found["metrics"]["sharpness"], found["metrics"]["latency"]
    assert sharpness["finding"] == "better"
    assert sharpness["n"] == 8
    assert sharpness["interval"][0] < sharpness["difference"] < sharpness["interval"][1]
    assert latency["finding"] == "not told apart"
    assert "better in sharpness; worse in nothing; 1 not told apart" in found["summary"]
    assert compared(capsys, run, "bad", "good")["metrics"]["sharpness"]["finding"] == "worse"


def test_the_test_is_that_of_the_mean_difference_over_prompts_corrected_over_the_metrics(place, capsys):
    good, bad = (records_of(name, values, samples=3) for name, values in (("good", GOOD), ("bad", BAD)))
    metrics = compared(capsys, write(place, [*good, *bad]), "good", "bad")["metrics"]

    def means(records, name):
        values = [record.measurement(name).value for record in records]
        return np.array(values).reshape(8, 3).mean(axis=1)

    differences = np.stack([means(good, name) - means(bad, name) for name in ("sharpness", "latency")], axis=1)
    plain = mean_p_values(differences)
    assert [metrics[name]["p"] for name in ("sharpness", "latency")] == plain.tolist()
    adjusted = [metrics[name]["adjusted"] for name in ("sharpness", "latency")]
    assert adjusted == pytest.approx(benjamini_hochberg(plain.tolist()), rel=1e-9)
    interval = mean_interval(differences[:, 0].tolist()).ends
    assert metrics["sharpness"]["interval"] == pytest.approx(interval)
    assert {one["test"] for one in metrics.values()} == {"mean difference"}
    assert {one["null"] for one in metrics.values()} == {"over prompts like these the mean difference is zero"}


def test_only_the_metrics_that_are_shown_are_corrected_for(run, capsys):
    (one,) = compared(capsys, run, "good", "bad", "--metrics", "sharp*")["metrics"].values()
    assert one["p"] == one["adjusted"]


def test_a_metric_of_which_neither_way_is_better_is_only_different(place, capsys):
    many, few = ({"cuts": lambda rng, _, n=n: n + 0.1 * rng.standard_normal()} for n in (5, 1))
    path = write(place, [*records_of("many", many), *records_of("few", few)])
    assert compared(capsys, path, "many", "few")["metrics"]["cuts"]["finding"] == "different"


def test_samples_without_a_partner_are_left_out_and_counted(place, capsys):
    first, second = records_of("good", GOOD), records_of("bad", BAD, prompts=6)
    second[0] = replace(second[0], status="crashed", measurements=())
    second[1] = replace(second[1], seed=7)
    second[2] = replace(second[2], prompt_text="reworded")
    found = compared(capsys, write(place, [*first, *second]), "good", "bad")
    (part,) = found["benchmarks"]
    assert part["pairs"] == 3
    assert part["left_out"] == {
        "B crashed": 1,
        "another seed in A than in B": 1,
        "the prompt has another text in A than in B": 1,
        "only in A": 2,
    }
    assert found["metrics"]["sharpness"]["n"] == 3


def test_four_prompts_are_too_few_for_a_test(place, capsys):
    path = write(place, [*records_of("good", GOOD, prompts=4), *records_of("bad", BAD, prompts=4)])
    one = compared(capsys, path, "good", "bad")["metrics"]["sharpness"]
    assert (one["p"], one["interval"], one["test"]) == (None, None, None)
    assert one["finding"] == "not tested"
    assert one["remarks"] == ["4 prompts: a test of means needs 5"]


def rated(monkeypatch, of: str, **values: list[float]) -> list[Record]:
    """Models with given values of one metric, a prompt each."""
    monkeypatch.setitem(ABOUT, of, {"unit": "1", "better": "higher"})
    return [
        record
        for model, given in values.items()
        for record in records_of(model, {of: lambda _, prompt, given=given: given[prompt]}, prompts=len(given))
    ]


def test_what_holds_whatever_was_not_seen_is_marked(place, capsys, monkeypatch):
    path = write(place, rated(monkeypatch, "ssim", far=[0.9] * 60, near=[0.71, 0.7] * 30, low=[-0.4, -0.5] * 30))
    slight, large = (compared(capsys, path, "far", other)["metrics"]["ssim"] for other in ("near", "low"))
    assert (slight["finding"], slight["surely"]) == ("better", True)
    assert large["p_unseen"] < slight["p_unseen"] < 0.05
    few = write(place, rated(monkeypatch, "ssim", far=[0.9] * 8, near=[0.71, 0.7] * 4), run="20260105-00")
    one = compared(capsys, few, "far", "near")["metrics"]["ssim"]
    assert (one["finding"], one["surely"]) == ("better", False)
    assert main(["compare", path, "far", "low"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "better †" in shown
    assert "† holds even then" in shown


def test_differences_that_are_all_equal_are_tested_by_their_signs(place, capsys, monkeypatch):
    path = write(place, rated(monkeypatch, "peak", big=[12.0] * 8, small=[10.0] * 8))
    one = compared(capsys, path, "big", "small")["metrics"]["peak"]
    assert (one["test"], one["p"], one["interval"]) == ("sign flips", 2 / 2**8, None)
    assert one["remarks"] == ["no interval: all 8 values are equal, which does not show how far others may lie"]


def test_a_value_that_one_side_lacks_is_no_difference(place, capsys):
    gone = Measurement(name="sharpness", value=None, reason="the clip is black", **ABOUT["sharpness"])
    first = records_of("good", GOOD)
    first[0] = replace(first[0], measurements=(gone,))
    second = [replace(record, measurements=(gone,)) for record in records_of("none", BAD)]
    path = write(place, [*first, *records_of("bad", BAD), *second])
    one = compared(capsys, path, "good", "bad", "--metrics", "sharpness")["metrics"]["sharpness"]
    assert one["n"] == 7
    assert one["remarks"] == ["1 of 8 samples of A has no value (the clip is black)"]
    none = compared(capsys, path, "good", "none", "--metrics", "sharpness")["metrics"]["sharpness"]
    assert none["obstacle"] == "B has no value (the clip is black)"
    assert (none["difference"], none["p"], none["finding"]) == (None, None, "cannot compare")


def test_a_metric_without_a_value_on_either_side_says_why(place, capsys):
    """The same command twice, offline: no CLIP in either run, and the second run's clips come from the cache."""
    lacking = Measurement(name="clip_similarity", value=None, reason="weights absent", unit="1", better="higher")
    first = [replace(r, measurements=(*r.measurements, lacking)) for r in records_of("good", GOOD)]
    again = [replace(record, reused_from=RUN) for record in first]
    one, other = write(place, first), write(place, again, run="20260102-000000-abcdef")
    for sides in ((one, other), (other, one), (other, write(place, again, run="20260103-000000-abcdef"))):
        metrics = compared(capsys, *sides)["metrics"]
        assert metrics["clip_similarity"]["finding"] == "cannot compare"
        assert metrics["clip_similarity"]["obstacle"] == "A has no value (weights absent)"
        assert metrics["clip_similarity"]["better"] == "higher"
        assert metrics["latency"]["obstacle"].endswith("the clip came from the cache: nothing was timed)")
        assert metrics["sharpness"]["finding"] == "not told apart"


def test_tiny_weights_are_shown_and_not_judged(place, capsys):
    path = write(place, [*records_of("good", GOOD, weights="tiny"), *records_of("bad", BAD, weights="tiny")])
    one = compared(capsys, path, "good", "bad")["metrics"]["sharpness"]
    assert one["finding"] == "cannot compare"
    assert "tiny random weights" in one["obstacle"]
    assert one["adjusted"] is None
    assert main(["compare", path, "good", "bad"]) == 0
    assert "( ) shown, not judged" in capsys.readouterr().out


# Two runs -----------------------------------------------------------------------------------------------------------


def two_runs(place: Path, second: list[Record], environment: Environment = HERE) -> tuple[str, str]:
    return write(place, records_of("good", GOOD)), write(place, second, run="20260102-00", environment=environment)


def test_timings_of_two_sessions_are_shown_and_not_tested(place, capsys):
    found = compared(capsys, *two_runs(place, records_of("good", GOOD)))
    latency = found["metrics"]["latency"]
    assert latency["difference"] == 0
    assert latency["p"] is None
    assert "two sessions" in latency["remarks"][-1]
    assert "the same values on all 8 prompts" in found["metrics"]["sharpness"]["remarks"]


def test_the_same_thing_twice_is_tested_by_sign_flips(place, capsys):
    def run_again(prompts: int, run: str) -> dict:
        again = {"sharpness": lambda rng, prompt: 1.2 + 0.5 * prompt + 0.01 * rng.standard_normal()}
        first = write(place, records_of("good", GOOD, prompts=prompts), run=f"{run}-a")
        return compared(capsys, first, write(place, records_of("good", again, prompts=prompts), run=f"{run}-b"))

    one = run_again(8, "20260106")["metrics"]["sharpness"]
    assert (one["test"], one["p"], one["finding"]) == ("sign flips", 2 / 2**8, "worse")
    assert "nothing changed" in one["null"]
    few = run_again(5, "20260107")["metrics"]["sharpness"]
    assert (few["p"], few["finding"]) == (None, "not tested")
    assert few["remarks"] == ["5 prompts: a test of signs needs 6"]


def test_timings_of_other_hardware_cannot_be_compared(place, capsys):
    elsewhere = records_of("good", GOOD, hardware="L4")
    paths = two_runs(place, elsewhere, replace(HERE, hardware="L4", packages={"torch": "2.10.0"}))
    found = compared(capsys, *paths)
    assert found["metrics"]["latency"]["obstacle"] == "A was measured on H100, B on L4"
    assert found["metrics"]["sharpness"]["finding"] == "not told apart"
    assert "other packages (A / B): torch 2.9.0 / 2.10.0" in found["remarks"]


def test_one_model_by_two_recipes_is_compared_only_if_that_is_the_question(place, capsys):
    other = RECIPE | {"steps": 4}
    paths = two_runs(place, records_of("good", BAD, recipe=other, recipe_digest=digest(other)))
    one = compared(capsys, *paths)["metrics"]["sharpness"]
    assert one["obstacle"] == "another recipe: steps=8 in A, 4 in B"
    assert one["p"] is None
    asked = compared(capsys, *paths, "--any-recipe")
    assert asked["metrics"]["sharpness"]["finding"] == "better"
    assert "another recipe: steps=8 in A, 4 in B" in asked["remarks"]


def test_other_weights_and_another_version_cannot_be_compared(place, capsys):
    paths = two_runs(place, records_of("good", BAD, weights="random"))
    one = compared(capsys, *paths, "--any-recipe")["metrics"]["sharpness"]
    assert one["obstacle"] == "other weights: hub in A, random in B"
    later = [
        replace(record, measurements=tuple(replace(m, version="2") for m in record.measurements))
        for record in records_of("good", BAD)
    ]
    path = write(place, later, run="20260103-00")
    assert compared(capsys, paths[0], path)["metrics"]["sharpness"]["obstacle"] == (
        "the metric's version is 1 in A, 2 in B"
    )


def test_every_model_of_both_runs_is_compared_or_those_that_are_named(place, capsys):
    both = [*records_of("good", GOOD), *records_of("bad", BAD)]
    first, second = write(place, [*both, *records_of("new", BAD)]), write(place, both, run="20260102-00")
    assert main(["compare", first, second, "--json"]) == 0
    assert [found["a"]["model"] for found in json.loads(capsys.readouterr().out)] == ["bad", "good"]
    assert compared(capsys, first, second, "--model", "g*")["a"]["model"] == "good"
    assert "unknown model of both runs 'new'" in refused(capsys, first, second, "--model", "new")


def test_a_baseline_file_stands_for_its_run(run, place, capsys):
    assert main(["baseline", "save", run, "-o", "main.json"]) == 0
    capsys.readouterr()
    found = compared(capsys, "main.json", run, "--model", "good", "--metrics", "sharpness")
    assert found["metrics"]["sharpness"]["p"] == 1


# Set metrics --------------------------------------------------------------------------------------------------------


def test_sets_are_told_apart_by_swapping_the_clips_of_a_prompt(sets, place, capsys):
    path, real = sets
    found = compared(capsys, path, "near", "far", "--reference", real, "--permutations", "255")
    kvd, fvd = found["metrics"]["kvd"], found["metrics"]["fvd"]

    def rows(model):
        names = (f"{model}-p{p}-s{s}" for p in range(9) for s in range(2))
        return np.stack([features.load(Path(path) / "features" / f"{name}.npz")[0]["i3d"] for name in names])

    known = reference.load(place / real)["i3d"].features
    assert kvd["first"] == pytest.approx(mmd2(rows("near"), known, KVD_KERNEL, unbiased=True))
    groups = [prompt for prompt in range(9) for _ in range(2)]
    expected = kernel_swap_test(rows("near"), rows("far"), known, permutations=255, groups=groups)
    assert kvd["difference"] == pytest.approx(expected.difference)
    assert kvd["p"] == expected.p < 0.01
    assert kvd["permutations"] == fvd["permutations"] == 255  # every way to swap nine prompts
    assert kvd["n"] == 18
    assert kvd["finding"] == fvd["finding"] == "better"
    assert kvd["test"] == fvd["test"] == "swaps"
    assert kvd["interval"][0] < kvd["difference"] < kvd["interval"][1]
    assert "N = 18 clips" in fvd["remarks"][0]


def test_a_set_metric_that_the_run_did_not_measure_is_computed_from_what_it_kept(sets, capsys):
    path, real = sets
    metrics = compared(capsys, path, "near", "far", "--reference", real, "--metrics", "fvd_infinity,kvd")["metrics"]
    assert set(metrics) == {"fvd_infinity", "kvd"}
    assert "needs" in metrics["fvd_infinity"]["obstacle"]


def test_a_metric_without_a_test_of_its_own_is_called_for_every_swap(sets, place, capsys):
    (place / "mine.py").write_text(
        "from pytest_vdb import metric\n"
        "@metric('spread_of_set', unit='1', better='higher')\n"
        "def spread_of_set(i3d_set, prompts):\n"
        "    return float(sum(row.mean() for row in i3d_set) / len(prompts))\n"
    )
    arguments = (sets[0], "far", "near", "--metrics", "spread_of_set", "--from", "mine.py", "--permutations", "50")
    one = compared(capsys, *arguments)["metrics"]["spread_of_set"]
    assert one["finding"] == "better"
    assert one["permutations"] == 50
    assert 0 < one["p"] < 0.05


def test_five_prompts_cannot_tell_sets_apart_and_it_says_so(place, sets, capsys):
    folder = place / "runs" / "20260102-00"
    records = [
        *records_of("near", {}, shift=0.0, folder=folder, prompts=5),
        *records_of("far", {}, shift=3.0, folder=folder, prompts=5),
    ]
    path = write(place, records, run="20260102-00")
    one = compared(capsys, path, "near", "far", "--metrics", "kvd", "--reference", sets[1])["metrics"]["kvd"]
    assert one["p"] == 1 / 16
    assert one["finding"] == "not told apart"
    assert "5 prompts: p cannot fall below 0.062, too few to tell anything apart" in one["remarks"]


def test_a_clip_without_features_is_left_out_on_both_sides(place, sets, capsys):
    path, real = sets
    folder = Path(path)
    kept, identities, _ = features.load(folder / "features" / "near-p0-s0.npz")
    features.save(folder / "features" / "near-p0-s0.npz", {"other": kept["i3d"]}, identities)
    one = compared(capsys, path, "near", "far", "--metrics", "kvd", "--reference", real)["metrics"]["kvd"]
    assert one["n"] == 17
    assert "1 of 18 pairs have no feature i3d" in one["remarks"]


def test_what_was_seen_through_other_weights_is_not_compared(sets, capsys):
    path, real = sets
    for file in (Path(path) / "features").glob("far-*.npz"):
        features.save(file, features.load(file)[0], {"i3d": "kinetics-400:other"})
    one = compared(capsys, path, "near", "far", "--metrics", "kvd", "--reference", real)["metrics"]["kvd"]
    assert one["finding"] == "cannot compare"
    assert "seen through" in one["obstacle"]


def test_a_reference_that_is_missing_is_said_or_refused(sets, capsys):
    one = compared(capsys, sets[0], "near", "far")["metrics"]["kvd"]
    assert "needs a reference set" in one["obstacle"]
    error = refused(capsys, sets[0], "near", "far", "--metrics", "kvd")
    assert "vdb reference build" in error
    assert "there is no such file" in refused(capsys, sets[0], "near", "far", "--reference", "gone.npz")


def test_a_lost_file_of_features_is_an_error(sets, capsys):
    path, real = sets
    (Path(path) / "features" / "far-p3-s1.npz").unlink()
    error = refused(capsys, path, "near", "far", "--reference", real)
    assert "far-p3-s1.npz" in error
    assert "measure the clip again" in error


# Scored clips, and what is shown ------------------------------------------------------------------------------------


def test_scored_clips_are_paired_by_prompt(place, capsys):
    (place / "prompts.jsonl").write_text("".join(f'{{"id": "p{i}", "text": "text {i}"}}\n' for i in range(5)))
    for folder, reach in (("veo", 0), ("worse", 20)):
        (place / folder).mkdir()
        for index in range(5):
            frames = moving_shapes(f"p{index}", frames=6, height=24, width=24)
            noise = np.random.default_rng(index).integers(-reach, reach + 1, frames.shape)
            np.save(place / folder / f"p{index}.npy", np.clip(frames + noise, 0, 255).astype(np.uint8))
        metrics = ("--metrics", "vbench.temporal_flickering,sharpness")
        assert main(["score", folder, "--prompts", "prompts.jsonl", "--device", "cpu", *metrics]) == 0
    capsys.readouterr()
    found = compared(capsys, "reports/scores/veo.jsonl", "reports/scores/worse.jsonl")
    assert (found["a"]["model"], found["b"]["model"]) == ("veo", "worse")
    assert found["metrics"]["vbench.temporal_flickering"]["finding"] == "better"
    assert any("do not tell their seeds" in remark for remark in found["remarks"])


def test_the_table_fits_and_says_how_the_figures_came_about(sets, place, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["compare", sets[0], "near", "far", "--reference", sets[1], "-o", "out/near.md"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    assert "255 swaps (all there are), seed 0" in shown
    assert "commit 1f0c2d9" in shown
    page = (place / "out" / "near.md").read_text()
    assert page.startswith("# `near` against `far`")
    assert "| `kvd ↓` | 18 |" in page


def test_the_page_and_the_markdown_are_written_or_printed(run, place, capsys):
    assert main(["compare", run, "good", "bad", "--html", "out/page.html", "--markdown"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("# `good` against `bad`")
    assert "Prompts that changed most" in shown.out
    assert "page.html" in shown.err
    page = (place / "out" / "page.html").read_text()
    assert "good against bad" in page
    assert page.count("<figure>") == 2 * 8


def test_what_changed_most_is_told_to_programs(run, capsys):
    changed = compared(capsys, run, "good", "bad")["changed_most"]
    assert {one["prompt"] for one in changed} == {f"p{i}" for i in range(8)}
    assert all(one["difference"] == one["a"] - one["b"] for one in changed)


def test_a_long_name_gives_way_to_the_figures(place, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setitem(ABOUT, "vbench.background_consistency", {"unit": "cosine", "better": "higher"})
    wide = {"vbench.background_consistency": lambda rng, prompt: 1e-5 * prompt + 1e-7 * rng.standard_normal()}
    path = write(place, [*records_of("good", wide, weights="tiny"), *records_of("bad", wide, weights="tiny")])
    assert main(["compare", path, "good", "bad"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    assert "vbench.background_consis" in shown


# Refusals -----------------------------------------------------------------------------------------------------------


def test_bad_input_is_refused_with_what_to_do(run, place, capsys):
    assert "did you mean 'good'?" in refused(capsys, run, "goood", "bad")
    assert "'good' against itself" in refused(capsys, run, "good", "good")
    assert "vdb compare RUN A B" in refused(capsys, run, "good")
    assert "vdb compare RUN A B" in refused(capsys, run)
    assert "named already" in refused(capsys, run, "good", "bad", "--model", "x")
    assert "nowhere: there is no such file or folder" in refused(capsys, "nowhere", run)
    assert "did you mean 'sharpness'?" in refused(capsys, run, "good", "bad", "--metrics", "sharpnes")
    assert "--vdb-metrics=lpips" in refused(capsys, run, "good", "bad", "--metrics", "lpips")
    assert "give at least 1" in refused(capsys, run, "good", "bad", "--permutations", "0")


def test_a_run_of_one_model_says_what_it_can_be_compared_with(place, capsys):
    path = write(place, records_of("good", GOOD))
    assert "It holds only 'good': compare it with another run." in refused(capsys, path, "good", "veo")


def test_runs_without_a_common_sample_say_why(place, capsys):
    paths = two_runs(place, records_of("good", GOOD, base_seed=1, suite="standard@1"))
    error = refused(capsys, *paths)
    assert "8 another seed in A than in B" in error
    assert "A answered smoke@1, B standard@1" in error
    others = write(place, records_of("veo", GOOD), run="20260104-00")
    found = compared(capsys, paths[0], others)  # one model each: these are compared
    assert (found["a"]["model"], found["b"]["model"]) == ("good", "veo")


def test_what_is_read_once_per_model_is_shown_without_a_test(place, capsys):
    first, second = records_of("good", GOOD), records_of("bad", BAD)
    for records, at in ((first, 0), (second, 3)):
        load = Measurement(name="load_time", value=10.0 + at, **ABOUT["load_time"])
        records[at] = replace(records[at], measurements=(*records[at].measurements, load))
    one = compared(capsys, write(place, [*first, *second]), "good", "bad")["metrics"]["load_time"]
    assert (one["first"], one["second"], one["difference"]) == (10, 13, -3)
    assert one["finding"] == "not tested"


def test_of_two_runs_only_the_models_that_are_named_are_read(place, capsys):
    """What is damaged of another model's record is told where that model is read, and nowhere else."""
    runs = []
    for run, values in (("20260102-000000-abcdef", GOOD), (RUN, BAD)):
        runs.append(write(place, [*records_of("wan", values), *records_of("other", values)], run=run))
        kept = Path(runs[-1]) / "records.jsonl"
        *others, last = kept.read_text().splitlines()
        kept.write_text("\n".join([*others, last.replace('"values":[', '"values":[0.5,')]) + "\n")
    assert main(["compare", *runs, "--json"]) == 0
    every = capsys.readouterr()
    assert main(["compare", *runs, "--json", "--model", "w*"]) == 0
    one = capsys.readouterr()
    assert every.err.count("3 values of 2 metrics") == 2
    assert not one.err
    assert [found for found in json.loads(every.out) if found["a"]["model"] == "wan"] == json.loads(one.out)
