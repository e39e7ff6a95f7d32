"""`vdb score`, as a user types it: what is measured, what is kept, what is said and what goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_vdb import video
from pytest_vdb.bench.scoring import Ledger, Scorer, by_name
from pytest_vdb.cli import main
from pytest_vdb.metrics.contract import metric
from pytest_vdb.metrics.engine import Engine
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.models.recordings import recordings
from pytest_vdb.records import Clip
from pytest_vdb.results import journal, ledger
from pytest_vdb.shapes import moving_shapes


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """An empty project, an empty cache, and no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


def save(folder: Path, *names: str, frames: int = 10) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        np.save(folder / f"{name}.npy", moving_shapes(name, frames=frames, height=24, width=32))
    return folder


def scored(capsys, *arguments: str, status: int = 0) -> dict:
    assert main(["score", *arguments, "--device", "cpu", "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_clips_are_measured_tabulated_and_recorded(place, capsys):
    save(place / "clips", "a", "b")
    assert main(["score", "clips", "--metrics", "sharpness,temporal_flicker", "--device", "cpu"]) == 0
    shown = capsys.readouterr()
    assert "sharpness" in shown.out
    assert "2 clips, 0 of them scored before, 0 failed" in shown.err
    records, warnings = journal.read_records(place / "reports" / "scores" / "clips.jsonl")
    assert [record.nodeid for record in records] == ["a.npy", "b.npy"]
    assert warnings == []


def test_a_second_session_measures_only_what_changed(place, capsys):
    save(place / "clips", "a", "b")
    first = scored(capsys, "clips", "--metrics", "sharpness")
    save(place / "clips", "c")
    np.save(place / "clips" / "b.npy", moving_shapes("other", frames=10, height=24, width=32))
    assert main(["score", "clips", "--metrics", "sharpness", "--device", "cpu", "--json"]) == 0
    shown = capsys.readouterr()
    assert "3 clips, 1 of them scored before" in shown.err
    again = json.loads(shown.out)
    assert again["clips"][0] == first["clips"][0]
    assert again["clips"][1] != first["clips"][1]
    assert len(journal.read_records(place / "reports" / "scores" / "clips.jsonl")[0]) == 4


def test_another_metric_measures_again_and_forgets_nothing(place, capsys):
    save(place / "clips", "a")
    scored(capsys, "clips", "--metrics", "sharpness")
    scored(capsys, "clips", "--metrics", "temporal_flicker")
    assert main(["score", "clips", "--metrics", "sharpness", "--device", "cpu"]) == 0
    assert "1 of them scored before" in capsys.readouterr().err


def test_a_torn_line_costs_one_clip(place, capsys):
    save(place / "clips", "a", "b")
    scored(capsys, "clips", "--metrics", "sharpness")
    ledger = place / "reports" / "scores" / "clips.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-40])
    assert main(["score", "clips", "--metrics", "sharpness", "--device", "cpu"]) == 0
    said = capsys.readouterr().err
    assert "torn" in said
    assert "2 clips, 1 of them scored before" in said
    assert len(journal.read_records(ledger)[0]) == 2


def test_a_truncated_clip_is_said_and_the_others_go_on(place, capsys):
    save(place / "clips", "a", "c")
    whole = place / "b.mp4"
    video.write_preview(Clip(moving_shapes("b", frames=10, height=64, width=64), 8), whole)
    (place / "clips" / "b.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert main(["score", "clips", "--metrics", "sharpness", "--device", "cpu", "--json"]) == 1
    shown = capsys.readouterr()
    assert [clip["status"] for clip in json.loads(shown.out)["clips"]] == ["passed", "failed", "passed"]
    assert "b.mp4: " in shown.err
    assert "1 failed" in shown.err


def test_one_frame_has_no_flicker_and_says_so(place, capsys):
    save(place / "clips", "still", frames=1)
    (clip,) = scored(capsys, "clips", "--metrics", "temporal_flicker")["clips"]
    (measured,) = clip["measurements"]
    assert measured["value"] is None
    assert measured["reason"] == "needs 2 frames, got 1"


def test_an_empty_folder_and_a_misspelt_metric_are_errors(place, capsys):
    (place / "clips").mkdir()
    assert main(["score", "clips"]) == 1
    assert "holds no clip" in capsys.readouterr().err
    assert main(["score", "clips", "--metrics", "sharpnes"]) == 1
    assert "did you mean 'sharpness'" in capsys.readouterr().err


def test_clips_are_joined_to_prompts_and_strangers_are_named(place, capsys):
    save(place / "clips", "cat", "dog-s1", "who")
    (place / "mine.jsonl").write_text('{"id": "cat", "text": "a cat"}\n{"id": "dog", "text": "a dog"}\n')
    assert main(["score", "clips", "--prompts", "mine.jsonl", "--metrics", "sharpness", "--json"]) == 0
    shown = capsys.readouterr()
    assert [clip["prompt"] for clip in json.loads(shown.out)["clips"]] == ["cat", "dog", None]
    assert "1 of 3 clips answer no prompt of mine.jsonl: who.npy" in shown.err


@pytest.mark.slow
def test_a_set_metric_compares_with_a_folder_and_a_second_session_needs_no_clip(place, capsys):
    save(place / "clips", *"abc", frames=9)
    save(place / "real", *"xyz", frames=9)
    (first,) = scored(capsys, "clips", "--metrics", "fvd", "--tiny", "--reference", "real")["set"]
    assert first["n"] == 3
    assert first["value"] > 0
    assert first["wiring"]
    assert main(["score", "clips", "--metrics", "fvd", "--tiny", "--reference", "real", "--json"]) == 0
    shown = capsys.readouterr()
    assert "3 of them scored before" in shown.err
    assert json.loads(shown.out)["set"] == [first]


@metric("difference", unit="levels", better="lower")
def difference(clip: Clip, reference: Clip) -> float:
    """Mean absolute difference."""
    return float(np.abs(clip.frames.astype(float) - reference.frames).mean())


def test_pairs_are_made_by_name_and_a_changed_reference_counts(place):
    clips, references = save(place / "clips", "a", "b"), save(place / "references", "a", "c")
    np.save(references / "a.npy", np.load(references / "a.npy") // 2)
    engine = Engine([difference], cache_dir=place)

    def values() -> list[float | None]:
        found = recordings(clips)
        scorer = Scorer(
            engine=engine,
            ledger=Ledger(place / "scores.jsonl"),
            model="clips",
            run="score-now",
            cache_dir=place,
            references=by_name(found, recordings(references)),
        )
        return [outcome.record.measurements[0].value for outcome in scorer.score(found)]

    half, none = values()
    assert half > 10
    assert none is None
    np.save(references / "a.npy", np.load(clips / "a.npy"))
    assert values() == [0, None]


@pytest.mark.slow
def test_clips_measured_side_by_side_come_out_in_order_with_the_same_values(place):
    folder = save(place / "clips", *"abcdefg")

    def measured(at_a_time: int) -> list[tuple]:
        scorer = Scorer(
            engine=Engine(MetricRegistry.builtin().select("default"), tiny=True, cache_dir=place),
            ledger=Ledger(place / f"{at_a_time}.jsonl"),
            model="clips",
            run="score-now",
            cache_dir=place,
            at_a_time=at_a_time,
        )
        return [(one.record.nodeid, one.record.measurements) for one in scorer.score(recordings(folder))]

    assert measured(4) == measured(1)
    assert [name for name, _ in measured(4)] == [f"{letter}.npy" for letter in "abcdefg"]


@metric("fails_on_dark", unit="1", better="lower")
def fails_on_dark(clip: Clip) -> float:
    """Divides by the brightness of the first pixel."""
    return 1 / int(clip.frames[0, 0, 0, 0])


def test_a_metric_that_raises_fails_that_clip_alone(place):
    folder = save(place / "clips", "a", "b")
    np.save(folder / "a.npy", np.zeros((2, 4, 4, 3), np.uint8))
    scorer = Scorer(
        engine=Engine([fails_on_dark], cache_dir=place),
        ledger=Ledger(place / "scores.jsonl"),
        model="clips",
        run="score-now",
        cache_dir=place,
    )
    first, second = (outcome.record for outcome in scorer.score(recordings(folder)))
    assert first.failure.type == "ZeroDivisionError"
    assert "fails_on_dark" in first.failure.traceback
    assert second.status == "passed"


def test_vbenchs_dimensions_are_written_in_its_own_layout(place, capsys):
    save(place / "clips", "a", "b")
    scored(capsys, "clips", "--metrics", "vbench.temporal_flickering,sharpness", "--vbench", "results.json")
    content = json.loads((place / "results.json").read_text())
    assert list(content) == ["temporal_flickering"]
    mean, each = content["temporal_flickering"]
    assert [entry["video_path"] for entry in each] == ["a.npy", "b.npy"]
    assert mean == pytest.approx(sum(entry["video_results"] for entry in each) / 2)


def test_a_metric_of_the_users_own_is_measured_too(place, capsys):
    save(place / "clips", "a")
    (place / "my_metrics_of_test.py").write_text(
        "from pytest_vdb import Clip, metric\n\n"
        "@metric('frames', unit='frames', better='neutral')\n"
        "def frames(clip: Clip) -> float:\n"
        "    '''How many.'''\n"
        "    return len(clip.frames)\n"
    )
    (clip,) = scored(capsys, "clips", "--metrics", "frames", "--from", "my_metrics_of_test.py")["clips"]
    assert clip["measurements"][0]["value"] == 10


def test_a_reference_of_clips_brings_the_paired_metrics_by_default(place, capsys):
    save(place / "clips", "a")
    save(place / "full", "a")
    names = {m["name"] for m in scored(capsys, "clips", "--reference", "full")["clips"][0]["measurements"]}
    assert {"psnr", "ssim", "ms_ssim", "sharpness"} <= names
    assert not {"lpips", "dists", "fsim"} & names  # no networks here; and FSIM must be asked for
    names = {m["name"] for m in scored(capsys, "clips")["clips"][0]["measurements"]}
    assert not {"psnr", "ssim"} & names


def test_what_the_reader_decided_reaches_the_record_and_what_was_left_out_is_said(place, capsys):
    folder = save(place / "clips", "a")
    images = [Image.fromarray(frame) for frame in moving_shapes("b", frames=4, height=24, width=32)]
    images[0].save(folder / "b.gif", save_all=True, append_images=images[1:], duration=[50, 500, 50, 50])
    (folder / "._a.npy").write_bytes(b"\0\5\x16\7")
    (folder / "notes.txt").write_text("not a clip")
    assert main(["score", "clips", "--metrics", "sharpness", "--device", "cpu"]) == 0
    said = capsys.readouterr().err
    note = "its frames are shown for 50 to 500 ms: read as 4 frames at their mean rate, 6.154 a second"
    assert f"b.gif: {note}" in said
    assert "clips: left out, as no clips: notes.txt" in said
    assert "clips: left out, as systems leave them: ._a.npy" in said
    records, _ = journal.read_records(place / "reports" / "scores" / "clips.jsonl")
    assert {record.nodeid: record.notes for record in records} == {"a.npy": (), "b.gif": (note,)}
    assert main(["score", "clips", "--metrics", "sharpness", "--device", "cpu"]) == 0
    assert note not in capsys.readouterr().err, "it was said when the clip was measured"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes as files here")
def test_a_name_that_is_not_utf8_and_a_pipe_cost_nothing(place, capsys):
    folder = save(place / "clips", "a", "b")
    try:
        (folder / "a.npy").rename(folder / "caf\udce9.npy")
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    os.mkfifo(folder / "c.mp4")
    (folder / "again").symlink_to(folder)
    shown = scored(capsys, "clips", "--metrics", "sharpness")
    assert [(clip["clip"], clip["status"]) for clip in shown["clips"]] == [
        ("b.npy", "passed"),
        ("caf\\udce9.npy", "passed"),
    ]
    records, warnings = journal.read_records(place / "reports" / "scores" / "clips.jsonl")
    assert [record.nodeid for record in records] == ["b.npy", "caf\\udce9.npy"]
    assert warnings == []


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no devices as files here")
def test_a_device_is_no_clip(place, capsys):
    assert main(["score", "/dev/zero", "--metrics", "sharpness", "--device", "cpu"]) == 1
    assert "a device, not a file" in capsys.readouterr().err


# Every clip that was given ------------------------------------------------------------------------------------------


def names_in(ledger_path: Path) -> list[str]:
    return sorted(record.nodeid for record in ledger.read(ledger_path).records if record.benchmark == ledger.SCORE)


def test_four_samples_that_are_one_file_are_four_records(place, capsys):
    """A sampler that ignores its seed: whoever reads the report must see four tests, and hears of it."""
    (place / "mine.jsonl").write_text('{"id": "cat", "text": "a cat"}\n')
    save(place / "clips", "cat-0")
    for sample in (1, 2, 3):
        shutil.copy(place / "clips" / "cat-0.npy", place / "clips" / f"cat-{sample}.npy")
    arguments = ["score", "clips", "--prompts", "mine.jsonl", "--metrics", "sharpness"]
    for scored_before in (0, 4):
        assert main(arguments) == 0
        said = capsys.readouterr().err
        assert "4 clips of prompt cat are the same file (a seed that is ignored?): cat-0.npy, cat-1.npy" in said
        assert f"4 clips, {scored_before} of them scored before, 0 failed" in said
    records = ledger.read(place / "reports/scores/clips.jsonl").records
    assert sorted((record.nodeid, record.sample_index) for record in records) == [
        (f"cat-{sample}.npy", sample) for sample in range(4)
    ]
    assert len({record.measurements for record in records}) == 1


def test_a_renamed_clip_has_its_new_name_and_is_not_measured_again(place, capsys):
    save(place / "clips", "a", "b")
    assert main(["score", "clips", "--metrics", "sharpness"]) == 0
    (place / "clips" / "b.npy").rename(place / "clips" / "c.npy")
    capsys.readouterr()
    assert main(["score", "clips", "--metrics", "sharpness"]) == 0
    assert "2 clips, 2 of them scored before" in capsys.readouterr().err
    assert names_in(place / "reports/scores/clips.jsonl") == ["a.npy", "c.npy"]
    assert main(["score", "clips", "--metrics", "temporal_flicker"]) == 0
    (_, c) = ledger.read(place / "reports/scores/clips.jsonl").records
    assert [measured.name for measured in c.measurements] == ["sharpness", "temporal_flicker"]


def test_clips_that_swap_their_names_swap_their_values(place):
    save(place / "clips", "a", "b")
    assert main(["score", "clips", "--metrics", "sharpness"]) == 0

    def values() -> dict[str, float | None]:
        records = ledger.read(place / "reports/scores/clips.jsonl").records
        return {record.nodeid: record.measurements[0].value for record in records}

    before = values()
    for old, new in (("a", "x"), ("b", "a"), ("x", "b")):
        (place / "clips" / f"{old}.npy").rename(place / "clips" / f"{new}.npy")
    assert main(["score", "clips", "--metrics", "sharpness"]) == 0
    assert values() == {"a.npy": before["b.npy"], "b.npy": before["a.npy"]}


def test_one_clip_alone_forgets_no_other(place):
    save(place / "clips", "a", "b")
    assert main(["score", "clips", "--metrics", "sharpness", "-o", "all.jsonl"]) == 0
    assert main(["score", "clips/a.npy", "--metrics", "sharpness", "-o", "all.jsonl"]) == 0
    assert names_in(place / "all.jsonl") == ["a.npy", "b.npy"]


@pytest.mark.slow
def test_two_sessions_at_once_on_one_file_lose_nothing(place):
    for model in ("wan", "cog"):
        save(place / model, *"abcdef")
    vdb = [sys.executable, "-m", "pytest_vdb", "score"]
    more = ["--metrics", "sharpness", "-o", "all.jsonl"]
    sessions = [subprocess.Popen([*vdb, model, *more], stdout=subprocess.DEVNULL) for model in ("wan", "cog")]
    assert [session.wait() for session in sessions] == [0, 0]
    records, warnings = journal.read_records(place / "all.jsonl")
    assert warnings == []
    assert sorted((record.model, record.nodeid) for record in records) == sorted(
        (model, f"{name}.npy") for model in ("wan", "cog") for name in "abcdef"
    )


def test_what_was_decided_of_a_reference_is_noted_and_what_is_none_is_said(place, capsys):
    save(place / "clips", "a", frames=4)
    images = [Image.fromarray(frame) for frame in moving_shapes("a", frames=4, height=24, width=32)]
    (place / "real").mkdir()
    images[0].save(place / "real" / "a.gif", save_all=True, append_images=images[1:], duration=[50, 500, 50, 50])
    (place / "real" / "licence.txt").write_text("no clip")
    assert main(["score", "clips", "--reference", "real", "--metrics", "psnr", "--device", "cpu"]) == 0
    said = capsys.readouterr().err
    assert "real: left out, as no clips: licence.txt" in said
    assert "a.npy: its reference: its frames are shown for 50 to 500 ms" in said
