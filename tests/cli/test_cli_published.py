"""What others published, on the command line: two files compared video by video, and the scores made of dimensions."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from pytest_vdb.analysis.aggregates import MLPERF, QUALITY, TOTAL, score_of
from pytest_vdb.cli import main
from pytest_vdb.records import Measurement, Record
from pytest_vdb.results import vbench
from pytest_vdb.results.journal import Journal

REAL = Path(__file__).parent.parent.parent / "fixtures" / "published" / "amd_mi355x_vbench_eval_results.json"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def real() -> dict:
    return json.loads(REAL.read_text())


def write(path: str, content: dict) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content))
    return path


def of_dimensions(names, *, prompts: int = 6, samples: int = 2, shift: float = 0.0, folder: str = "out") -> dict:
    """Values that vary between the prompts, with their means."""
    chance = random.Random(1)
    found = {}
    for name in names:
        videos = [
            {
                "video_path": f"{folder}/a {name} scene {prompt}-{sample}.mp4",
                "video_results": 0.5 + 0.1 * chance.random() + shift,
            }
            for prompt in range(prompts)
            for sample in range(samples)
        ]
        found[name] = [sum(one["video_results"] for one in videos) / len(videos), videos]
    return found


def short(aggregate) -> list[str]:
    return [name.removeprefix(vbench.FAMILY) for name in aggregate.dimensions]


def compared(capsys, *arguments: str) -> dict:
    """The only comparison, as JSON, its metrics by name."""
    assert main(["compare", *arguments, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    return found | {"metrics": {one["metric"]: one for one in found["metrics"]}}


def shown(capsys, *arguments: str) -> str:
    assert main([*arguments]) == 0
    return " ".join(capsys.readouterr().out.split())


# Compared -----------------------------------------------------------------------------------------------------------


def test_two_published_files_are_compared_video_by_video(capsys):
    changed = real()
    for one in changed["subject_consistency"][1]:
        one["video_path"] = one["video_path"].replace("outputs/sage17", "another/laboratory")
        one["video_results"] -= 0.01 + 0.02 * random.Random(one["video_path"]).random()
    changed["dynamic_degree"][1][0]["video_results"] = False
    found = compared(capsys, str(REAL), write("theirs_eval_results.json", changed))
    (part,) = found["benchmarks"]
    assert found["b"]["published"] == "theirs_eval_results.json"
    assert (part["prompts"], part["pairs"], part["left_out"]) == (248, 248, {})
    metrics = found["metrics"]
    assert metrics["vbench.subject_consistency"]["finding"] == "better"
    assert metrics["vbench.subject_consistency"]["n"] == 72
    assert metrics["vbench.appearance_style"]["first"] == pytest.approx(0.209037, abs=1e-6)
    assert metrics["vbench.dynamic_degree"]["difference"] == pytest.approx(1 / 72)
    assert any("published as 0.2103, over each video's last frame" in remark for remark in found["remarks"])


def test_a_score_is_that_of_the_compared_means_and_has_an_interval(capsys):
    changed = real()
    for one in changed["scene"][1]:
        one["video_results"] = max(0.0, one["video_results"] - 0.25 * random.Random(one["video_path"]).random())
    metrics = compared(capsys, str(REAL), write("theirs_eval_results.json", changed))["metrics"]
    score = metrics["mlperf.vbench_score"]
    for side in ("first", "second"):
        means = {name: one[side] for name, one in metrics.items()}
        assert score[side] == pytest.approx(score_of(MLPERF, means).value, rel=1e-12)
    assert score["n"] == 248
    assert score["difference"] == pytest.approx(100 / 6 * metrics["vbench.scene"]["difference"])
    assert score["interval"][0] < score["difference"] < score["interval"][1]
    assert score["finding"] == "better"
    assert "of the published means it is 69.9809 in A, 69.9809 in B" in score["remarks"]
    assert "vbench.total" not in metrics


@pytest.mark.slow
def test_vbenchs_own_scores_of_two_files_with_all_dimensions(capsys):
    a = write("a_eval_results.json", of_dimensions(short(TOTAL), shift=0.02))
    b = write("b_eval_results.json", of_dimensions(short(TOTAL), folder="elsewhere"))
    metrics = compared(capsys, a, b)["metrics"]
    means = {name: one["first"] for name, one in metrics.items()}
    assert metrics["vbench.total"]["first"] == pytest.approx(score_of(TOTAL, means).value, rel=1e-12)
    assert metrics["vbench.total"]["n"] == 16 * 6  # the samples of a prompt are one answer
    assert {"vbench.quality", "vbench.semantic"} < metrics.keys()
    assert "mlperf.vbench_score" not in metrics
    assert "mlperf.vbench_score" in compared(capsys, a, b, "--metrics", "mlperf.vbench_score")["metrics"]


@pytest.mark.slow
def test_a_score_that_lacks_dimensions_says_which(capsys):
    theirs = write("theirs_eval_results.json", real())
    printed = shown(capsys, "compare", str(REAL), theirs)
    assert "no vbench.quality, vbench.semantic, vbench.total: 10 of 16 dimensions are missing: temporal_" in printed
    assert "no vbench" not in shown(capsys, "compare", str(REAL), theirs, "--metrics", "vbench.scene")
    total = compared(capsys, str(REAL), theirs, "--metrics", "vbench.quality")["metrics"]["vbench.quality"]
    assert total["finding"] == "cannot compare"
    assert total["obstacle"].startswith("in A or B 3 of 7 dimensions are missing: ")


def test_entries_that_are_missing_or_bad_are_left_out_and_counted(capsys):
    changed = real()
    del changed["scene"][1][:3]
    changed["scene"][1][0]["video_results"] = None
    found = compared(capsys, str(REAL), write("theirs_eval_results.json", changed), "--metrics", "vbench.scene")
    one = found["metrics"]["vbench.scene"]
    assert one["n"] == 82
    assert any(remark.startswith("4 of 86 samples of B have no value (not published, and") for remark in one["remarks"])


def test_files_of_parts_and_files_of_one_name_are_two_sides(capsys):
    for lab, shift in (("first", 0.0), ("second", 0.05)):
        for name in ("scene", "color"):
            write(f"{lab}/wan/{name}_eval_results.json", of_dimensions([name], shift=shift))
    found = compared(capsys, "first/wan", "second/wan")
    assert found["metrics"].keys() == {"vbench.scene", "vbench.color"}
    assert (found["a"]["model"], found["b"]["model"]) == ("first/wan", "second/wan")
    one, other = "first/wan/scene_eval_results.json", "second/wan/scene_eval_results.json"
    assert compared(capsys, f"ours={one}", f"theirs={other}")["a"]["model"] == "ours"


def test_what_cannot_be_compared_is_refused_with_the_mend(capsys):
    means = write("means_eval_results.json", {"scene": [0.5, []]})
    assert main(["compare", str(REAL), means]) == 1
    error = capsys.readouterr().err
    assert "it lists no videos" in error
    assert "vdb report" in error
    write("x/sora_eval_results.json", real())
    write("x/veo_eval_results.json", real())
    assert main(["compare", str(REAL), "x"]) == 1
    assert "stands for 2 models: sora, veo" in capsys.readouterr().err
    write("none_eval_results.json", {"scene": 0.5})
    assert main(["compare", str(REAL), "none_eval_results.json"]) == 1
    assert "not a result file of VBench: scene is 0.5" in capsys.readouterr().err


# Beside runs --------------------------------------------------------------------------------------------------------


def run_of(model: str, dimensions, *, prompts: int = 4) -> str:
    """A run that measured these dimensions of each clip."""
    run = vbench.unknown_run("20260101-000000-abcdef")
    journal = Journal.create(Path("reports"), run)
    for prompt in range(prompts):
        measured = tuple(
            Measurement(name=name, value=0.8 + 0.01 * prompt, unit="1", better="higher") for name in dimensions
        )
        about = {"benchmark": "test_generation", "model": model, "status": "passed", "weights": "hub"}
        text = f"a scene scene {prompt}"
        journal.append(
            Record(
                run=run.id, nodeid=f"n{prompt}", prompt=f"p{prompt}", prompt_text=text, measurements=measured, **about
            )
        )
    journal.finish(run)
    return str(journal.folder)


def test_published_videos_are_paired_with_our_prompts_and_never_judged(capsys):
    run = run_of("wan", ["vbench.scene"])
    found = compared(capsys, run, write("sora_eval_results.json", of_dimensions(["scene"], prompts=3)))
    one = found["metrics"]["vbench.scene"]
    assert (one["n"], one["finding"]) == (3, "cannot compare")
    assert one["obstacle"] == "published in sora_eval_results.json, not measured here"
    assert one["difference"] > 0


# Reported -----------------------------------------------------------------------------------------------------------


def test_a_report_says_the_scores_and_why_there_are_none(capsys):
    run = run_of("wan", QUALITY.dimensions)
    printed = shown(capsys, "report", run, f"amd={REAL}")
    assert "model vbench.quality vbench.semantic vbench.total mlperf.vbench_score" in printed
    quality = score_of(QUALITY, dict.fromkeys(QUALITY.dimensions, 0.815)).value
    assert f"wan {quality:.4f} – – –" in printed
    assert "amd – – – 69.98" in printed
    assert "– amd: no vbench.quality, vbench.semantic, vbench.total: 10 of 16 dimensions are missing" in printed
    assert "amd: vbench.appearance_style: published as 0.2103" in printed


def test_a_report_without_vbench_says_nothing_of_scores(capsys):
    assert "Scores" not in shown(capsys, "report", run_of("wan", ["sharpness", "vbench.scene"]))
