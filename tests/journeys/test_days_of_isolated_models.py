"""A day with a model that is put into a process of its own: the same values twice, and a crash that is one test."""

from __future__ import annotations

import pytest

from pytest_vdb.models.isolation.walls import why_no_bwrap
from pytest_vdb.results.journal import read_records

pytestmark = [
    pytest.mark.slow,  # whole days, in processes of their own
    pytest.mark.skipif(why_no_bwrap() is not None, reason=str(why_no_bwrap())),
]

BOTH = (
    "pytest benchmarks/ --vdb-models=noise,isolated:isolated/noise --vdb-prompts=smoke:3 -n 2 "
    "--vdb-metrics=spread,sharpness"
)
ONE = "pytest benchmarks/ --vdb-models=isolated:isolated/noise --vdb-prompts=smoke:3 --vdb-metrics=spread"


def values(user, run):
    """What was measured of each model's clips, by prompt and metric; and the notes of all records."""
    records, _ = read_records(user.folder / run / "records.jsonl")
    found = {}
    for record in records:
        for measured in record.measurements:
            if measured.name in {"spread", "sharpness"}:
                assert measured.value is not None, measured.reason
                found.setdefault(record.model, {})[record.prompt, measured.name] = measured.value
    return found, [note for record in records for note in record.notes]


def test_an_isolated_model_has_the_values_of_the_same_one_in_process_twice_and_under_two_workers(project):
    project.types("vdb isolate noise --from conftest.py").ends(0).shows("--vdb-models=isolated:isolated/noise")
    project.types("vdb isolate wan2.1-t2v-1.3b --as venv").ends(0).shows("a venv is no wall")
    project.types(BOTH).ends(0).shows("2 models, 3 prompts, 6 tests: 6 passed")
    project.types(BOTH).ends(0).shows("6 clips reused")
    project.types(f"{BOTH} --vdb-cache=always").ends(0)
    for run in project.runs():
        found, notes = values(project, run)
        assert found.keys() == {"noise", "noise-bwrap"}
        assert found["noise"] == found["noise-bwrap"]
        assert len(found["noise"]) == 6
    assert any(note.startswith("in a process of its own (bwrap): Python") for note in notes)
    first, second, last = project.runs()
    records, _ = read_records(project.folder / last / "records.jsonl")
    rss = {(one.model, m.value is None) for one in records for m in one.measurements if m.name == "peak_rss"}
    assert rss == {("noise", False), ("noise-bwrap", True)}, "the session's memory is not the model's"
    project.types(f"vdb compare {first} {second}").ends(0).shows("the same to the pixel")


def test_a_crash_is_one_failed_test_and_an_edit_makes_new_clips(project):
    project.types("vdb isolate noise --from conftest.py --as bwrap -o isolated/noise").ends(0)
    project.changes(
        "isolated/noise/model.py",
        '    """Uniform noise: the floor that every model must beat."""\n',
        "    import os\n    if seed % 3 == 0:\n        os.write(2, b'the last words')\n        os.abort()\n",
    )
    project.types("pytest benchmarks/ --vdb-models=isolated:isolated/noise --vdb-prompts=smoke --vdb-metrics=spread")
    records, _ = read_records(project.folder / project.runs()[0] / "records.jsonl")
    failed = [record for record in records if record.status == "failed"]
    assert failed
    assert {record.status for record in records} == {"passed", "failed"}
    assert all(record.seed % 3 == 0 for record in failed), "and the others have their clips"
    assert all("SIGABRT" in record.failure.message and "the last words" in record.failure.message for record in failed)
    project.writes("isolated/noise/model.py", project.reads("conftest.py"))
    project.types(ONE).ends(0).shows("3 passed").hides("reused")


def test_memory_and_time_beyond_the_limits_are_told_apart(project):
    project.types("vdb isolate noise --from conftest.py").ends(0)
    project.writes(
        "isolated/noise/model.py",
        """
        import time
        import numpy as np

        def noise(prompt, recipe, seed):
            kept = []
            while recipe.steps == 1:
                kept.append(np.ones(2**24, np.uint8))
            while True:
                time.sleep(1)
        """,
    )
    project.changes("isolated/noise/isolated.toml", "# memory_gib = 8\n# seconds = 3600", "memory_gib = 0.5\n")
    one = ONE.replace("smoke:3", "smoke:1")
    project.types(f"{one} --vdb-recipe steps=1").ends(1).shows("out of memory")
    project.changes("isolated/noise/isolated.toml", "memory_gib = 0.5\n", "seconds = 1\n")
    project.types(one).ends(1).shows("within 1 s")
    statuses = [read_records(project.folder / run / "records.jsonl")[0][0].status for run in project.runs()]
    assert statuses == ["oom", "failed"]
