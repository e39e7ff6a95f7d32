"""VBench's result files: read as its tools write them, written as its tools read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_vdb.errors import RecordError
from pytest_vdb.results import vbench
from pytest_vdb.results.vbench import Dimension


def test_result_files_are_read_as_they_were_written(tmp_path):
    results = {
        "subject_consistency": Dimension.of([("a-0.mp4", 0.5), ("b-0.mp4", 0.75)]),
        "overall_consistency": Dimension(0.25),
    }
    path = tmp_path / "x_eval_results.json"
    path.write_text(vbench.render(results))
    assert vbench.read(path) == results
    assert json.loads(path.read_text())["subject_consistency"][0] == 0.625


def test_vbenchs_booleans_are_read_as_numbers(tmp_path):
    path = tmp_path / "r.json"
    path.write_text('{"dynamic_degree": [0.5, [{"video_path": "a", "video_results": true}]]}')
    assert vbench.read(path) == {"dynamic_degree": Dimension(0.5, (("a", 1.0),))}


@pytest.mark.parametrize("content", ["[]", "{", "{}", '{"a": 1}', '{"a": [1, [{"video": 2}]]}', '{"a": ["x", []]}'])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "r.json"
    path.write_text(content)
    assert not vbench.is_results(path)
    with pytest.raises(RecordError, match=r"r\.json: not (a result file of VBench|JSON): "):
        vbench.read(path)


def test_published_figures_say_that_they_are(tmp_path):
    path = tmp_path / "sora_eval_results.json"
    path.write_text(
        '{"scene": [0.5, [{"video_path": "a", "video_results": 1}, {"video_path": "b", "video_results": 0}]]}'
    )
    _, record = vbench.published(path, benchmark="score")
    assert (record.model, record.published) == ("sora", "sora_eval_results.json")
    (measured,) = record.measurements
    assert (measured.name, measured.value, measured.n) == ("vbench.scene", 0.5, 2)


def write(path: Path, **means: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({name: [mean, []] for name, mean in means.items()}))
    return path


@pytest.mark.parametrize(
    ("files", "models"),
    [
        (["wan/results_2026-01-01-10:00:00_eval_results.json"], ["wan"]),
        (["wan/scene_eval_results.json"], ["wan"]),
        (["wan/eval_results.json", "cog/eval_results.json"], ["cog", "wan"]),
        (["wan/20260101_eval_results.json"], ["wan"]),
        (["sora_eval_results.json", "veo-3_eval_results.json"], ["sora", "veo-3"]),
        (["wan/run-a_eval_results.json", "cog/run-a_eval_results.json"], ["cog", "wan"]),
        (
            ["outputs/wan/vbench/all_eval_results.json", "outputs/cog/vbench/all_eval_results.json"],
            ["cog/vbench", "wan/vbench"],
        ),
        (["模型_eval_results.json"], ["模型"]),
    ],
)
def test_whose_a_file_is_says_its_name_or_its_folder(tmp_path, files, models):
    paths = [write(tmp_path / "in" / name, scene=0.5) for name in files]
    assert sorted(vbench.models_of(paths)) == models


def test_files_that_share_no_dimension_are_parts_of_one_result(tmp_path):
    paths = [
        write(tmp_path / "wan" / "first_eval_results.json", scene=0.5),
        write(tmp_path / "wan" / "second_eval_results.json", color=0.25),
    ]
    assert vbench.models_of(paths) == {"wan": paths}
    _, record = vbench.published(*paths, benchmark="score", model="wan")
    assert [(measured.name, measured.value) for measured in record.measurements] == [
        ("vbench.scene", 0.5),
        ("vbench.color", 0.25),
    ]
    assert record.published == "2 files of wan/"


def test_of_two_dates_the_later_counts_and_it_is_said(tmp_path):
    new = write(tmp_path / "wan" / "results_2026-02-01-10:00:00_eval_results.json", scene=0.75)
    old = write(tmp_path / "wan" / "results_2026-01-01-10:00:00_eval_results.json", scene=0.5, color=0.25)
    _, record = vbench.published(new, old, benchmark="score", model="wan")
    assert {measured.name: measured.value for measured in record.measurements} == {
        "vbench.scene": 0.75,
        "vbench.color": 0.25,
    }
    assert record.notes == (f"scene of wan: {new.name} counts, {old.name} is older",)


def test_two_values_of_one_dimension_without_a_date_are_refused(tmp_path):
    one, other = (write(tmp_path / f"{name}.json", scene=value) for name, value in (("a", 0.5), ("b", 0.75)))
    with pytest.raises(RecordError, match=r"a\.json: scene of wan is 0\.5 here and 0\.75 in .*b\.json\n.*MODEL=FILE"):
        vbench.published(one, other, benchmark="score", model="wan")
    assert vbench.published(one, one, benchmark="score", model="wan")[1].measurements[0].value == 0.5


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"scene": 1}', "scene is 1"),
        ('{"scene": []}', "scene is []"),
        ('{"scene": ["x", []]}', 'the mean of scene is "x"'),
        ('{"scene": [1, {}]}', "the videos of scene are {}"),
        ('{"scene": [1, [null]]}', "a video of scene is null"),
        ('{"scene": [1, [{"video_path": "a", "video_results": []}]]}', "a video of scene is []"),
        (f'{{"scene": [{"7" * 400}, []]}}', "the mean of scene is a number of 400 digits"),
        ("null", "it holds null"),
    ],
)
def test_what_is_wrong_with_a_result_file_is_said(tmp_path, content, why):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(RecordError) as refused:
        vbench.read(tmp_path / "r.json")
    assert refused.value.what == f"not a result file of VBench: {why}"


@pytest.mark.parametrize(
    "dimensions",
    [
        {},
        {"dynamic_degree": Dimension(0.5)},
        {"dynamic_degree": Dimension(None, (("a", 1.0), ("b", 0.0)))},
        {
            "imaging_quality": Dimension(1 / 3, (('"quoted" \\ 日本 \x00 \u2028-0.mp4', 0.7), ("b", 1e-7))),
            "color": Dimension(1e22, (("b", 5e-324), ("b", 12345678.9))),
        },
    ],
)
def test_a_file_is_written_as_json_dumps_would(dimensions):
    content = {
        name: [
            found.mean,
            [
                {"video_path": path, "video_results": value * 100 if name == "imaging_quality" else value}
                for path, value in found.videos
            ],
        ]
        for name, found in dimensions.items()
    }
    assert vbench.render(dimensions) == json.dumps(content, indent=4, ensure_ascii=False) + "\n"
