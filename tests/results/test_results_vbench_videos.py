"""Which prompt and sample each video of a published result is."""

from __future__ import annotations

import pytest

from pytest_vdb.records import Record
from pytest_vdb.results.dimensions import Dimension
from pytest_vdb.results.vbench_videos import prompt_and_sample, records_of_videos

THEIRS = Record(
    run="published-wan", nodeid="x.json::wan", benchmark="score", model="wan", status="passed", published="x.json"
)


def answered(*paths: str, **dimensions: Dimension) -> list[tuple[str | None, int]]:
    dimensions = dimensions or {"scene": Dimension(0.5, tuple((path, 0.5) for path in paths))}
    return [(record.prompt, record.sample_index) for record in records_of_videos(THEIRS, dimensions)]


@pytest.mark.parametrize(
    ("path", "prompt", "sample"),
    [
        ("out/sage17/a cat runs-0.mp4", "a cat runs", 0),
        ("a cat runs-12.MP4", "a cat runs", 12),
        (r"C:\videos\a cat.mp4", "a cat", 0),
        ("frames/a_cat_runs-1", "a cat runs", 1),
        ("Dr. Smith, 4.5 km up-2.gif", "Dr. Smith, 4.5 km up", 2),
        ("one-way street-3.mp4", "one-way street", 3),
        ("0007.mp4", "0007", 0),
        ("eine Straße in 東京-0.mp4", "eine Straße in 東京", 0),
    ],
)
def test_a_videos_name_tells_prompt_and_sample(path, prompt, sample):
    assert prompt_and_sample(path) == (prompt, sample)


def test_numbers_are_samples_unless_there_are_more_than_anybody_draws():
    assert answered("a-0.mp4", "a-1.mp4") == [("a", 0), ("a", 1)]
    many = answered(*(f"video-{number}.mp4" for number in range(26)))
    assert ("video-25", 0) in many
    assert {sample for _, sample in many} == {0}


def test_one_video_is_one_record_with_all_of_its_dimensions():
    listed = {
        "scene": Dimension(0.5, (("here/a-0.mp4", 0.25), ("here/b-0.mp4", 0.75))),
        "color": Dimension(1.0, (("there/a-0.mp4", 1.0),), (("there/b-0.mp4", "it is null"), (None, "no name"))),
    }
    a, b = records_of_videos(THEIRS, listed)
    assert {m.name: m.value for m in a.measurements} == {"vbench.scene": 0.25, "vbench.color": 1.0}
    assert (b.measurement("vbench.color").value, b.measurement("vbench.color").reason) == (None, "it is null")
    assert a.published == "x.json"


def test_videos_of_one_name_in_two_folders_stay_two():
    records = records_of_videos(THEIRS, {"scene": Dimension(0.5, (("x/a-0.mp4", 0.25), ("y/a-0.mp4", 0.75)))})
    assert [record.measurements[0].value for record in records] == [0.25, 0.75]
    assert len({record.nodeid for record in records}) == 2


def test_means_alone_have_no_videos():
    assert records_of_videos(THEIRS, {"scene": Dimension(0.5)}) == ()
