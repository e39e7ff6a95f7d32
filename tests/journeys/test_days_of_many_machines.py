"""Days with more machines than one: ask what a job would be, hand it out, look, lose a session, go on."""

from __future__ import annotations

import importlib.util
import json
import re

import pytest

pytestmark = pytest.mark.slow

ASKED = "--vdb-models=noise,dim --vdb-prompts=smoke:2 --vdb-metrics=spread --vdb-cache=never --vdb-report=json"


def test_a_job_is_foreseen_handed_out_watched_and_typed_again(project):
    project.types(f"vdb plan {ASKED} --workers 2").shows("4 tests in 2 shards, 2 at a time", "nobody knows yet")
    project.types("vdb jobs").shows("no job lies in reports/jobs")
    project.types(f"vdb run {ASKED} --on local --workers 2").shows("2 shards of 4 tests", "4 passed", "noise")
    (place,) = (project.folder / "reports" / "jobs").iterdir()
    job = f"reports/jobs/{place.name}"
    project.types("vdb jobs").shows(job)
    told = json.loads(project.types(f"vdb jobs {job} --json").out)
    assert (told["done"], told["left"], told["retried"]) == (2, 0, 0)

    # an hour ago one of its machines was lost in the second test
    (one, *_) = sorted((place / "attempts").glob("*/*.jsonl"))
    lines = re.sub(r'"at":[0-9.]+', '"at":1000.0', one.read_text()).splitlines()
    last = max(number for number, line in enumerate(lines) if '"event":"begin"' in line)
    one.write_text("\n".join(lines[: last + 1]) + "\n")
    project.types(f"vdb jobs {job}").shows("1 of 2 shards are done", "1 were lost")
    project.types(f"vdb jobs {job} --split").ends(1).shows("no shard is worth another session")
    project.types(f"vdb jobs {job} --merge").shows("reports/runs/", "the run was stopped before its end")
    project.types(f"vdb jobs {job} --cancel").shows("cancelled")
    shard = f"{place}/shards/{one.parent.name}.json"
    project.types(f"pytest benchmarks/ {ASKED} --vdb-shard={shard}").shows("1 of 2 tests are left", "1 passed")
    project.types(f"vdb run {ASKED} --on local --workers 2").shows("goes on", "2 shards in 3 sessions", "4 passed")
    project.types(f"vdb plan {ASKED} --on local").shows("hours of workers", "noise: ")
    project.types("vdb jobs nowhere").ends(1).shows("there is no job")


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_an_engine_whose_library_is_missing_says_what_to_install(project):
    asked = project.types(f"vdb run {ASKED} --on ray").ends(4)
    asked.shows("ray needs a library that is not installed", "pip install 'pytest-vdb[ray]'")
    asked.hides("collected")
