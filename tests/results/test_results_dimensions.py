"""Every layout in which VBench's tools write a dimension, and what one bad entry costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_vdb.results import vbench
from pytest_vdb.results.dimensions import Dimension, Unlike, dimension_of

PUBLISHED = Path(__file__).parent.parent.parent / "fixtures" / "published" / "amd_mi355x_vbench_eval_results.json"


def video(name: str, value: object, **more: object) -> dict[str, object]:
    return {"video_path": f"videos/{name}.mp4", "video_results": value, **more}


def test_the_file_of_a_real_submission_is_read_whole():
    found = vbench.read(PUBLISHED)
    assert {name: len(one.videos) for name, one in found.items()} == {
        "subject_consistency": 72,
        "dynamic_degree": 72,
        "motion_smoothness": 72,
        "appearance_style": 90,
        "scene": 86,
        "background_consistency": 86,
    }
    assert not any(one.unreadable for one in found.values())
    assert found["dynamic_degree"].mean == sum(value for _, value in found["dynamic_degree"].videos) / 72


def test_a_mean_over_something_else_than_the_videos_is_kept_and_explained():
    """On several GPUs VBench averages the last frame's likeness of each video: `appearance_style.py` at 45e79ec."""
    found = vbench.read(PUBLISHED)
    assert {name for name, one in found.items() if one.remark} == {"appearance_style"}
    assert found["appearance_style"].remark == (
        "published as 0.2103, over each video's last frame, as VBench averages on several GPUs; "
        "the mean of its 90 videos is 0.2090"
    )


@pytest.mark.parametrize(
    ("mean", "videos", "over"),
    [
        (0.75, [video("a", 1.0, video_sim=8, cnt_per_video=8), video("b", 0.25, video_sim=1, cnt_per_video=4)], True),
        (
            0.75,
            [
                video("a", 1.0, success_frame_count=8, frame_count=8),
                video("b", 0.25, success_frame_count=1, frame_count=4),
            ],
            True,
        ),
        (0.5, [video("a", 1.0, frame_results=[1.0]), video("b", 0.25, frame_results=[0.25, 0.25])], True),
        (0.7, [video("a", 1.0), video("b", 0.25)], False),
    ],
)
def test_means_over_frames_are_told_from_those_that_nobody_can_explain(mean, videos, over):
    remark = dimension_of([mean, videos], "scene").remark
    assert ("over all frames" in remark) == over
    assert ("the file does not say" in remark) != over
    assert "2 videos is 0.6250" in remark


def test_a_mean_that_is_rounded_is_no_other_mean():
    assert dimension_of([0.3333, [video("a", 0), video("b", 0), video("c", 1)]], "scene").remark is None


def test_values_per_frame_count_as_their_mean():
    assert dimension_of([0.5, [video("a", [0.25, 0.75])]], "scene").videos == (("videos/a.mp4", 0.5),)


def test_imaging_quality_is_written_in_percent_per_video_and_read_in_the_units_of_the_mean():
    read = dimension_of([0.625, [video("a", 50), video("b", 75)]], "imaging_quality")
    assert [value for _, value in read.videos] == [0.5, 0.75]
    assert read.remark is None
    (written,) = json.loads(vbench.render({"imaging_quality": read})).values()
    assert [one["video_results"] for one in written[1]] == [50, 75]
    ours = dimension_of([0.625, [video("a", 0.5), video("b", 0.75)]], "imaging_quality")
    assert ours.videos == read.videos  # of files that earlier versions wrote


def test_the_long_videos_of_vbench_long_count_not_their_clips():
    """Its third list has one entry per long video, and of temporal flickering how many they are."""
    clips = [video("a-0_001", 0.25), video("a-0_002", 0.75)]
    read = dimension_of([0.5, clips, [video("a-0", 0.5), {"long_video_cnt": 1}]], "temporal_flickering")
    assert read == Dimension(0.5, (("videos/a-0.mp4", 0.5),))


def test_prompts_instead_of_videos():
    entry = {"prompt": "a doctor", "video_results": [{}], "prompt_results": 0.5}
    assert dimension_of([0.5, [entry]], "gender_bias").videos == (("a doctor", 0.5),)


@pytest.mark.parametrize(
    ("entry", "path", "why"),
    [
        (video("x", None), "videos/x.mp4", "a video of scene is null"),
        (video("x", float("nan")), "videos/x.mp4", "a video of scene is NaN, no finite number"),
        (video("x", []), "videos/x.mp4", "a video of scene is []"),
        (video("x", [0.5, None]), "videos/x.mp4", "a video of scene is null"),
        (video("x", -1), "videos/x.mp4", "-1: VBench-2.0 had nothing to judge in it"),
        ({"video_results": 1}, None, 'a video of scene is {"video_results": 1}'),
        (None, None, "a video of scene is null"),
        (video("a", 0.75), "videos/a.mp4", "listed twice, with 0.5 and 0.75"),
    ],
)
def test_a_bad_entry_costs_itself(entry, path, why):
    read = dimension_of([0.5, [video("a", 0.5), video("b", 0.5), entry]], "scene")
    assert ("videos/b.mp4", 0.5) in read.videos
    assert read.unreadable == ((path, why),)
    assert read.n == 3 - (path == "videos/a.mp4")


def test_a_bad_mean_costs_the_mean_alone():
    read = dimension_of(["?", [video("a", 0.5)]], "scene")
    assert (read.mean, read.reason) == (None, 'the mean of scene is "?"')
    assert read.videos == (("videos/a.mp4", 0.5),)


def test_a_bad_dimension_costs_itself_and_a_file_without_a_good_one_is_refused(tmp_path):
    path = tmp_path / "x_eval_results.json"
    path.write_text('{"color": {"score": 1}, "scene": [0.5, []]}')
    read = vbench.read(path)
    assert read["scene"] == Dimension(0.5)
    assert read["color"].reason == 'color is {"score": 1}'
    _, record = vbench.published(path, benchmark="score")
    assert record.measurement("vbench.color").value is None
    with pytest.raises(Unlike, match="scene is"):
        dimension_of({"score": 1}, "scene")


def test_what_is_wrong_with_a_mean_and_with_videos_is_noted_beside_the_published_values(tmp_path):
    path = tmp_path / "x_eval_results.json"
    path.write_text(json.dumps({"scene": [0.5, [video("a", 1), video("b", None)]]}))
    _, record = vbench.published(path, benchmark="score")
    (measured,) = record.measurements
    assert (measured.value, measured.n) == (0.5, 2)
    assert record.notes == (
        "vbench.scene: published as 0.5000, over what, the file does not say; the mean of 1 of its 2 videos is 1.0000",
        "vbench.scene: 1 of 2 videos without a value (a video of scene is null)",
    )
