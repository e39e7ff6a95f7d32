"""VBench's result files: read as its tools write them, written as its tools read them."""

from __future__ import annotations

import json

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
    with pytest.raises(RecordError, match="not a result file of VBench"):
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
