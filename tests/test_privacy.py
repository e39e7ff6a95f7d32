"""Nothing that is kept or shown says who ran it where."""

from __future__ import annotations

import sys
from pathlib import Path, PureWindowsPath

import pytest

from pytest_vdb.privacy import Privacy
from pytest_vdb.records import Failure, Measurement, Record

HOME = "/home/zaphod-b"
ROOT = Path(f"{HOME}/project")


@pytest.fixture
def privacy(monkeypatch) -> Privacy:
    monkeypatch.setenv("HOME", HOME)
    monkeypatch.setattr(sys, "path", [*sys.path, "/opt/my tools/src"])
    arguments = ["--api-token", "v0g0n-poetry", "--vdb-models=wan", "--x-auth=babelfish-42", "-k", "deep"]
    environment = {"USER": "zaphod-b", "HF_TOKEN": "hitchhiker-1", "TOKENIZERS_PARALLELISM": "false"}
    settings = [("upload_secret", "magrathea-9"), ("addopts", "-q")]
    return Privacy(ROOT, arguments=arguments, settings=settings, environment=environment)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{ROOT}/benchmarks/test_a.py:12: RuntimeError", "benchmarks/test_a.py:12: RuntimeError"),
        (f'File "{ROOT}/.venv/lib/python3.12/site-packages/torch/nn.py", line 3', 'File "torch/nn.py", line 3'),
        ('File "/usr/lib/python3.12/json/__init__.py", line 3', 'File "json/__init__.py", line 3'),
        ("../../../usr/lib/python3/dist-packages/numpy/x.py:5: TypeError", "numpy/x.py:5: TypeError"),
        (f"No such file: '{HOME}/my films/x y.mp4'", "No such file: 'x y.mp4'"),
        ("/opt/my tools/src/pkg/mod.py:3: KeyError", "pkg/mod.py:3: KeyError"),
        ("/data/films/x.bin is gone", "x.bin is gone"),
        ("recordings:/data/clips,wan", "recordings:clips,wan"),
        ("~/models/x/y.safetensors", "y.safetensors"),
        ("file:///data/films/x.mp4", "x.mp4"),
        ("/home/trillian has no space", "~ has no space"),
        (r"C:\Users\ford\x.bin and \\server\share\y.mp4", "x.bin and y.mp4"),
        ("../../elsewhere/suite.jsonl:8", "suite.jsonl:8"),
        ("zaphod-b may not", "<user> may not"),
        ("v0g0n-poetry, babelfish-42, hitchhiker-1, magrathea-9", "***, ***, ***, ***"),
        ("https://me:pw@hub/x?token=abc&y=1 Bearer ab.cd", "https://***@hub/x?token=***&y=1 Bearer ***"),
        ("got hf_abcdefghijklmnop", "got ***"),
    ],
)
def test_folders_users_and_tokens_are_left_out(privacy, text, shown):
    assert privacy.text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "17 frames/s, A/B and 1/2; (H/8)/(W/8)",
        "POST /v1 to https://host/v1/generate failed",
        "false is not true; deep",
        "shape (1, 3, 64, 64)/255",
        "the weights of ViT-B-32 are not here; get them with: vdb fetch clip",
        "benchmarks/test_a.py::test_generation[wan--p1]",
    ],
)
def test_what_tells_nothing_stays_as_it_is(privacy, text):
    assert privacy.text(text) == text


def test_a_path_is_relative_to_the_project_or_its_name(privacy):
    assert privacy.path(ROOT / "sets" / "real.npz") == "sets/real.npz"
    assert privacy.path(Path("/data/my films/real.npz")) == "real.npz"
    assert privacy.path(PureWindowsPath(r"D:\films\real.npz")) == "real.npz"


def test_a_record_keeps_its_names_and_figures(privacy):
    measured = Measurement(name="m", value=None, unit="1", better="lower", reason=f"no {HOME}/w.pt")
    known = Measurement(name="k", value=0.5, unit="1", better="lower")
    failure = Failure(type="OSError", message=f"{ROOT}/a.py", traceback="hitchhiker-1")
    record = Record(
        run="r",
        nodeid="n",
        benchmark="b",
        model="zaphod-b",
        status="failed",
        recipe={"lora": f"{HOME}/loras/x.safetensors", "frames": 9},
        measurements=(measured, known),
        notes=(f"read {ROOT}/notes.txt",),
        failure=failure,
    )
    kept = privacy.record(record)
    assert kept.model == "zaphod-b"
    assert kept.recipe == {"lora": "x.safetensors", "frames": 9}
    assert [m.reason for m in kept.measurements] == ["no w.pt", None]
    assert kept.measurements[1] == known
    assert kept.notes == ("read notes.txt",)
    assert kept.failure == Failure(type="OSError", message="a.py", traceback="***")
