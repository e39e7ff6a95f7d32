import dataclasses
import json

import pytest

from pytest_vdb.errors import NewerSchema, RecordError
from pytest_vdb.records import ClipFiles, Environment, Failure, Measurement, Record, Run
from pytest_vdb.results import baselines
from pytest_vdb.results.journal import Journal

HERE = Environment(python="3.11", platform="test", hardware="cpu", cpu="cpu", cpu_count=1, memory_mib=1)
RUN = Run(id="20261122-041530-a1b2c3", started_at="2026-11-22T04:15:30+00:00", environment=HERE)
RECIPE = {"frames": 9, "weights": "none"}
CLIP = ClipFiles(digest="a" * 64, frames=9, height=64, width=64, fps=8, preview="clips/a.mp4")


def a_record(number, **changes):
    measurements = (
        Measurement(name="sharpness", value=0.25 * number, unit="1", better="higher", version="2", series=(1.0, 2.0)),
        Measurement(name="latency", value=None, unit="s", better="lower", kind="performance", reason="reused"),
        Measurement(name="clip_similarity", value=0.1, unit="1", better="higher", wiring=number > 1),
        Measurement(name="fvd", value=3.0, unit="1", better="lower", n=8, interval=(2.0, 4.0)),
    )
    given = {
        "run": RUN.id,
        "nodeid": f"t.py::t[m-{number}]",
        "benchmark": "t",
        "model": "m",
        "status": "passed",
        "prompt": f"p00{number}",
        "prompt_text": "a long text",
        "seed": number,
        "weights": "none",
        "recipe": RECIPE,
        "recipe_digest": "f00d",
        "hardware": "cpu",
        "environment": HERE.digest(),
        "measurements": measurements,
        "clip": CLIP,
        "notes": ("a note",),
    }
    return Record(**(given | changes))


RECORDS = [
    a_record(0),
    a_record(1, hardware="another", weights=None),
    a_record(2, status="failed", failure=Failure(type="BadClip", message="m"), measurements=()),
    a_record(3, benchmark="u", sample_index=1, recipe={"frames": 5}, recipe_digest="beef"),
]


def comparable(record):
    """What a comparison reads."""
    kept = tuple(dataclasses.replace(m, series=None) for m in record.measurements)
    return dataclasses.replace(record, measurements=kept, clip=None, notes=(), prompt_text=None, failure=None)


def test_the_small_json_keeps_everything_that_is_compared(tmp_path):
    baselines.save(RECORDS, RUN, tmp_path / "deep" / "main.json")
    loaded = baselines.load(tmp_path / "deep" / "main.json")
    assert list(loaded.records) == [comparable(record) for record in RECORDS]
    assert loaded.run.environment == HERE
    assert loaded.run.recipes == {"f00d": RECIPE, "beef": {"frames": 5}}


def test_a_run_is_a_baseline_too(tmp_path):
    book = Journal.create(tmp_path, RUN)
    for record in RECORDS:
        book.append(record)
    for path in (book.folder, book.folder / "run.json", book.folder / "records.jsonl"):
        assert list(baselines.load(path).records) == RECORDS


def test_a_torn_run_says_so(tmp_path):
    book = Journal.create(tmp_path, RUN)
    book.append(RECORDS[0])
    with (book.folder / "records.jsonl").open("a") as file:
        file.write('{"run"')
    loaded = baselines.load(book.folder)
    assert len(loaded.records) == 1
    assert "torn" in loaded.warnings[0]


def test_it_is_small_and_has_a_line_per_record(tmp_path):
    many = [a_record(number) for number in range(200)]
    baselines.save(many, RUN, tmp_path / "main.json")
    text = (tmp_path / "main.json").read_text()
    assert len(text) < 200 * 450
    assert sum('"nodeid"' in line for line in text.splitlines()) == 200


def test_a_run_without_records_can_be_kept(tmp_path):
    baselines.save([], RUN, tmp_path / "main.json")
    assert baselines.load(tmp_path / "main.json").records == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ("[1, 2]", "not a baseline"),
        ('{"schema": 1}', "not a baseline"),
        ('{"format": "pytest-vdb baseline"}', "part missing"),
        (
            '{"format": "pytest-vdb baseline", "metrics": {}, "recipes": {}, "shared": {}, "records": [3]}',
            "part missing",
        ),
    ],
)
def test_what_is_no_baseline_is_said(tmp_path, content, message):
    (tmp_path / "main.json").write_text(content)
    with pytest.raises(RecordError, match=message) as caught:
        baselines.load(tmp_path / "main.json")
    assert "main.json" in str(caught.value)


def test_a_missing_baseline_says_how_to_make_one(tmp_path):
    with pytest.raises(RecordError, match="vdb baseline save"):
        baselines.load(tmp_path / "main.json")


def test_a_newer_baseline_is_refused(tmp_path):
    baselines.save(RECORDS, RUN, tmp_path / "main.json")
    content = json.loads((tmp_path / "main.json").read_text())
    (tmp_path / "main.json").write_text(json.dumps(content | {"schema": 99}))
    with pytest.raises(NewerSchema, match="schema 99"):
        baselines.load(tmp_path / "main.json")
