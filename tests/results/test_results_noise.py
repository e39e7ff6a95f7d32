"""A noise floor is kept as it was measured; what is torn, of another kind or cannot be is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_vdb.errors import NewerSchema, RecordError
from pytest_vdb.records import Environment, Run
from pytest_vdb.results.noise import Floor, Noise, load_noise, save_noise

RUN = Run(
    id="run-0",
    started_at="2026-01-01T00:00:00Z",
    environment=Environment(
        python="3.12.1",
        platform="Linux",
        hardware="CPU",
        cpu="a CPU",
        cpu_count=2,
        memory_mib=8_000,
        packages={"torch": "2.9.0"},
        git_commit="0123456789abcdef",
    ),
    suites={"smoke@1": "d"},
)
FLOOR = Floor(
    benchmark="t.py::test_generation",
    model="模型",
    metric="latency",
    version="1",
    unit="s",
    better="lower",
    kind="performance",
    weights="hub",
    recipe="r",
    hardware="CPU",
    way="costs",
    prompts=6,
    sessions=2,
    value=1.0,
    within=0.25,
    between=0.03,
    remarks=("1 of 3 sessions without a value",),
)
NOISE = Noise(run=RUN, sessions=("run-0", "run-1"), floors=(FLOOR, replace(FLOOR, model="b", between=None, reason="x")))


def test_what_was_kept_is_read_as_it_was(tmp_path):
    save_noise(NOISE, tmp_path / "noise.json")
    assert load_noise(tmp_path / "noise.json") == NOISE
    assert sum('"metric"' in line for line in (tmp_path / "noise.json").read_text().splitlines()) == 2


def damaged(content: dict[str, object]) -> list[str]:
    """Files that are none."""
    floor = content["floors"][0]  # type: ignore[index]
    others: list[dict[str, object]] = [
        {**content, "format": "pytest-vdb baseline"},
        {key: value for key, value in content.items() if key != "run"},
        {**content, "floors": {}},
        {**content, "floors": [{**floor, "between": "much"}]},
        {**content, "floors": [{**floor, "between": -0.1}]},
        {**content, "floors": [{**floor, "sessions": -1}]},
        {**content, "floors": [{**floor, "way": "guess"}]},
        {**content, "schema": "one"},
    ]
    return ["", "[]", "{", *map(json.dumps, others)]


def test_what_is_torn_of_another_kind_or_cannot_be_is_refused(tmp_path):
    path = tmp_path / "noise.json"
    save_noise(NOISE, path)
    whole = path.read_text()
    for text in (*damaged(json.loads(whole)), whole[: len(whole) // 2]):
        path.write_text(text)
        with pytest.raises(RecordError) as refused:
            load_noise(path)
        assert refused.value.where == path
        assert refused.value.mend


def test_a_newer_schema_is_told(tmp_path):
    save_noise(replace(NOISE, schema=2), tmp_path / "noise.json")
    with pytest.raises(NewerSchema, match="schema 2 is newer"):
        load_noise(tmp_path / "noise.json")


@pytest.mark.parametrize("name", ["nothing.json", "."])
def test_what_is_no_file_is_refused(tmp_path, name):
    with pytest.raises(RecordError, match=r"no such noise floor|a folder"):
        load_noise(tmp_path / name)
