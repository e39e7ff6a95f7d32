"""Every name, number and place on a command line is checked at once, before any work, with what it may have meant."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pytest_vdb.cli import main
from pytest_vdb.records import Measurement, Record
from pytest_vdb.results import vbench
from pytest_vdb.results.journal import Journal
from pytest_vdb.shapes import moving_shapes

ENDLESS = """
from pytest_vdb import Clip, metric, model

@metric("never", unit="1", better="higher")
def never(clip: Clip) -> float:
    '''Nobody may be asked.'''
    raise SystemExit("it was measured")

@model("idle", frames=4, height=16, width=16)
def idle(prompt, recipe, seed):
    '''Nobody may be asked.'''
    raise SystemExit("it was generated")
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """Clips, a run, and a model and a metric that end the process if they are asked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "mine.py").write_text(ENDLESS)
    (tmp_path / "clips").mkdir()
    np.save(tmp_path / "clips" / "a.npy", moving_shapes("a", frames=6, height=24, width=24))
    run = vbench.unknown_run("20260101-000000-abcdef")
    journal = Journal.create(tmp_path, run)
    sharp = (Measurement(name="sharpness", value=0.1, unit="1", better="higher"),)
    for model in ("good", "bad"):
        about = {"benchmark": "t.py::t", "model": model, "status": "passed", "weights": "hub", "seed": 1, "prompt": "p"}
        journal.append(Record(run=run.id, nodeid=f"n[{model}]", measurements=sharp, **about))
    journal.finish(run)
    (tmp_path / "runs" / run.id).rename(tmp_path / "run")
    (tmp_path / "file").write_text("")
    return tmp_path


SCORE = ("score", "clips", "--from", "mine.py", "--metrics", "never")
CHECK = ("check", "idle", "--from", "mine.py")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("score", "clips", "--metrics", "sharpnes"), "unknown metric 'sharpnes'\n  did you mean 'sharpness'?"),
        ((*SCORE, "--device", "cpuu"), "--device: unknown device 'cpuu'\n  did you mean 'cpu'?"),
        ((*SCORE, "--device", "cuda:99"), "--device: 'cuda:99': this process sees"),
        ((*SCORE, "--backbone", "clop=file"), "--backbone: unknown network 'clop'\n  did you mean 'clip'?"),
        ((*SCORE, "--backbone", "clip=nowhere"), "--backbone: 'clip=nowhere' names 'nowhere', which does not exist"),
        ((*SCORE, "--backbone", "clip"), "--backbone: 'clip' has no '='"),
        ((*SCORE, "--prompts", "smokee"), "unknown prompt suite 'smokee'"),
        ((*SCORE, "--reference", "nowhere"), "nowhere: there is no such file or folder"),
        (("score", "nowhere"), "nowhere: there is no such file or folder"),
        (("score", "clips", "--from", "nowhere.py"), "--from: 'nowhere.py': there is no such file"),
        (("score", "clips", "--from", "no.such.module"), "'no.such.module': No module named"),
        ((*CHECK, "--device", "gpu"), "--device: unknown device 'gpu'"),
        ((*CHECK, "--recipe", "frame=4"), "unknown recipe setting 'frame'\n  did you mean 'frames'"),
        ((*CHECK, "--recipe", "frames=-4"), "frames=-4"),
        ((*CHECK, "--weights", "tine"), "unknown value 'tine'\n  did you mean 'tiny'"),
        (("check", "idel", "--from", "mine.py"), "unknown model 'idel'\n  did you mean 'idle'"),
        (("calibrate", "--metrics", "nope"), "--metrics: unknown metric 'nope'"),
        (("calibrate", "--metrics", "sharpness", "--device", "xla"), "--device: unknown device 'xla'"),
        (("calibrate", "--metrics", "sharpness", "--clips", "nowhere"), "nowhere: there is no such file or folder"),
        (("reference", "build", "clips", "-o", "r.npz", "--backbone", "i4d"), "--backbone: unknown network of"),
        (("reference", "build", "clips", "-o", "r.npz", "--tiny", "--device", "tpu"), "unknown device 'tpu'"),
        (("export", "idle"), "unknown model 'idle'"),
        (("export", "wan2.1-t2v-1.3b", "--parts", "decoder"), "--parts: unknown part 'decoder'"),
        (("export", "wan2.1-t2v-1.3b", "--device", "tpu"), "unknown device 'tpu'"),
        (("report", "run", "--formats", "htm,csv"), "unknown value 'htm'\n  did you mean 'html'"),
        (("compare", "run", "good", "bda"), "unknown model 'bda'\n  did you mean 'bad'"),
        (("compare", "run", "good", "bad", "--metrics", "sharp"), "unknown metric 'sharp'\n  did you mean 'sharpness'"),
        (("compare", "run", "good", "bad", "--reference", "nowhere.npz"), "nowhere.npz: there is no such file"),
        (("models", "wan2"), "unknown model 'wan2'"),
        (("prompts", "smoek"), "unknown prompt suite 'smoek'\n  did you mean 'smoke'"),
        (("metrics", "psnrr"), "unknown metric 'psnrr'\n  did you mean 'psnr'"),
        (("backbones", "clop"), "unknown network 'clop'\n  did you mean 'clip'"),
        (("fetch", "clop"), "unknown network 'clop'\n  did you mean 'clip'"),
        (("validate", "sharpnes", "--human", "h.csv", "--scores", "run"), "unknown metric 'sharpnes'"),
        (("validate", "sharpness", "--human", "h.csv", "--rating", "ratng"), "unknown column 'ratng'\n  did you mean"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_before_any_work(place, capsys, arguments, said):
    (place / "h.csv").write_text("model,prompt,rating\ngood,p,1\n")
    before = sorted(place.rglob("*"))
    assert main([*arguments]) == 1
    told = capsys.readouterr()
    assert said in told.err
    assert "Traceback" not in told.err
    after = [path for path in place.rglob("*") if "__pycache__" not in path.parts and "cache" not in path.parts]
    assert [path for path in after if path not in before] == [], "something was written"


@pytest.mark.parametrize(
    "arguments",
    [
        ("compare", "run", "good", "bad", "--permutations", "0"),
        ("compare", "run", "good", "bad", "--seed", "-1"),
        ("validate", "sharpness", "--human", "h.csv", "--resamples", "-1"),
        ("validate", "sharpness", "--human", "h.csv", "--seed", "9" * 5000),
        ("calibrate", "--scenes", "0"),
        ("calibrate", "--size", "many"),
    ],
)
def test_numbers_are_checked_where_they_are_typed(capsys, arguments):
    assert main([*arguments]) == 1
    assert ", a whole number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = (", "bad.py:1: SyntaxError: "),
        ("\n\nx = nowhere", "bad.py:3: NameError: name 'nowhere' is not defined"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("def inner():\n    1 / 0\n\ninner()", "bad.py:2: ZeroDivisionError: division by zero"),
        ("from pytest_vdb import metric\n@metric('a b', unit='1', better='up')\ndef f(clip): ...", "bad.py:2 (f): "),
    ],
)  # fmt: skip
def test_a_fault_in_the_users_own_file_is_said_with_its_line(place, capsys, code, said):
    (place / "bad.py").write_text(code)
    assert main(["score", "clips", "--from", "bad.py"]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


# Where it is written ------------------------------------------------------------------------------------------------

PLACES = (
    ("taken/", "a folder, not a file"),
    ("file/x/out", "a file is where the folder should be"),
    ("closed/out", "cannot be written: Permission denied"),
    ("n" * 300, "cannot be written: File name too long"),
)
WRITERS = {
    "score": (*SCORE, "-o"),
    "score --vbench": (*SCORE, "--vbench"),
    "check": (*CHECK, "-o"),
    "compare": ("compare", "run", "good", "bad", "-o"),
    "baseline": ("baseline", "save", "run", "-o"),
    "gate": ("gate", "run", "--baseline", "run", "--fail-on", "sharpness:-2%", "-o"),
    "reference": ("reference", "build", "clips", "--tiny", "-o"),
}
FOLDER_WRITERS = {
    "report": ("report", "run", "-o"),
    "export": ("export", "wan2.1-t2v-1.3b", "-o"),
    "init": ("init",),
}


@pytest.fixture
def closed(place) -> None:
    """What cannot be written."""
    (place / "taken").mkdir()
    (place / "closed").mkdir(mode=0o500)


@pytest.mark.parametrize("command", WRITERS)
@pytest.mark.parametrize(("target", "why"), PLACES)
def test_a_file_that_cannot_be_written_is_said_before_the_work(closed, capsys, command, target, why):
    if target.startswith("closed") and os.access("closed", os.W_OK):
        pytest.skip("root may write everywhere")
    assert main([*WRITERS[command], target]) == (2 if command == "gate" else 1)
    told = capsys.readouterr().err
    assert told.startswith(f"vdb: {target[:5]}")
    assert why in told
    assert len(told.splitlines()) == 2, "what, where, and what to do"


@pytest.mark.parametrize("command", FOLDER_WRITERS)
@pytest.mark.parametrize(("target", "why"), [("file/x", "a file is where the folder should be"), PLACES[2], PLACES[3]])
def test_a_folder_that_cannot_be_made_is_said(closed, capsys, command, target, why):
    if command == "export":
        pytest.importorskip("onnxscript")
    if target.startswith("closed") and os.access("closed", os.W_OK):
        pytest.skip("root may write everywhere")
    assert main([*FOLDER_WRITERS[command], target]) == 1
    told = capsys.readouterr().err
    assert told.splitlines()[-2].startswith(f"vdb: {target[:5]}")
    assert why in told
    assert "Traceback" not in told


RAISING = """
from pytest_vdb import Clip, metric

@metric("broken", unit="1", better="higher")
def broken(clip: Clip) -> float:
    '''Cannot.'''
    return 1 / (len(clip.frames) * 0)

@metric("broken_set", unit="1", better="higher")
def broken_set(clips: list[Clip]) -> float:
    '''Cannot.'''
    return {}["nothing"]
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("calibrate", "--scenes", "1", "--metrics", "broken"), "m.py:7: ZeroDivisionError: division by zero (while"),
        (("score", "clips", "--metrics", "broken"), "a.npy: ZeroDivisionError: division by zero"),
        (("score", "clips", "--metrics", "sharpness,broken_set"), "m.py:12: KeyError: 'nothing' (while measuring"),
    ],
)
def test_a_metric_that_raises_is_said_with_its_line(place, capsys, arguments, said):
    (place / "m.py").write_text(RAISING)
    assert main([*arguments, "--from", "m.py"]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


@pytest.mark.parametrize("command", [["gate", "RUN", "--base", "main.json"], ["models", "--js"]])
def test_half_an_option_is_none(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err
