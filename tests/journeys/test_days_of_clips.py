"""Days with clips that exist already: phone clips, a closed API's, another lab's figures, people's ratings."""

from __future__ import annotations

import json
import shutil
import struct
from fractions import Fraction
from pathlib import Path
from urllib.request import Request, urlopen

import av
import numpy as np
import pytest
from PIL import Image

from conftest import NUMPY_MODELS, TEST
from pytest_vdb.shapes import moving_shapes

pytestmark = pytest.mark.slow  # whole days, in processes of their own

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"


def film(path: Path, name: str, *, frames: int = 12, noise: int = 0) -> None:
    """An H.264 file of moving shapes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = moving_shapes(name, frames=frames, height=64, width=96).astype(np.int16)
    pixels += np.random.default_rng(len(name)).integers(-noise, noise + 1, pixels.shape, np.int16)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=24)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for index, picture in enumerate(np.clip(pixels, 0, 255).astype(np.uint8)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 24)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def held_sideways(path: Path) -> None:
    """The file of a phone: its track says that the picture is to be turned."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 2**30)
    path.write_bytes(data)


@pytest.fixture
def clips(user):
    """What a user has in a folder after a week: two phones, a downloaded GIF, a truncated copy, macOS' litter."""
    folder = user.folder / "clips"
    film(folder / "IMG_0001.MOV", "one")
    held_sideways(folder / "IMG_0001.MOV")
    film(folder / "IMG_0002.mp4", "two")
    pictures = [Image.fromarray(frame) for frame in moving_shapes("three", frames=6, height=48, width=64)]
    pictures[0].save(folder / "party.gif", save_all=True, append_images=pictures[1:], duration=0, loop=0)
    pictures[0].save(folder / "sticker.webp", save_all=True, append_images=pictures[1:], duration=100, lossless=True)
    (folder / "._IMG_0001.MOV").write_bytes(b"\0\5\26\7 Mac OS X")
    (folder / ".DS_Store").write_bytes(b"Bud1")
    film(folder / "half.mp4", "four", frames=24)
    whole = (folder / "half.mp4").read_bytes()
    (folder / "half.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    return user


def test_a_folder_of_phone_clips(clips):
    seen = clips.types("vdb score clips/ --metrics=sharpness,temporal_flicker").ends(1)
    seen.shows("half.mp4", "5 clips, 0 of them scored before, 1 failed", "reports/scores/clips.jsonl")
    (clips.folder / "clips" / "half.mp4").unlink()
    (clips.folder / "clips" / "IMG_0002.mp4").rename(clips.folder / "clips" / "beach.mp4")
    seen = clips.types("vdb score clips/ --metrics=sharpness,temporal_flicker --json").ends(0)
    named = {clip["clip"] for clip in json.loads(seen.out)["clips"]}
    assert named == {"IMG_0001.MOV", "beach.mp4", "party.gif", "sticker.webp"}
    clips.types("vdb report reports/scores/clips.jsonl").ends(0).shows("5 tests: 4 passed, 1 failed", "half.mp4")
    turned = json.loads(clips.reads("reports/scores/clips.jsonl").splitlines()[0])["clip"]
    assert (turned["height"], turned["width"]) == (96, 64)


def test_two_models_answered_the_same_prompts_through_their_apis(user):
    user.writes("prompts.jsonl", "".join(f'{{"id": "p{i}", "text": "a red kite {i}"}}\n' for i in range(4)))
    for model, noise in (("veo", 0), ("sora", 25)):
        for prompt in range(4):
            film(user.folder / model / "videos" / f"p{prompt}.mp4", f"kite {prompt}", noise=noise)
    for model in ("veo", "sora"):
        user.types(f"vdb score {model}/videos --prompts=prompts.jsonl --model={model} --metrics=sharpness").ends(0)
    user.types("vdb report reports/scores/*.jsonl").ends(0).shows("2 models", "veo", "sora")
    user.types("vdb score veo/videos --prompts=prompts.jsonl -o veo.jsonl --metrics=sharpness --model=veo").ends(0)
    user.types("vdb score sora/videos --prompts=prompts.jsonl -o sora.jsonl --metrics=sharpness --model=sora").ends(0)
    user.types("vdb compare veo.jsonl sora.jsonl").ends(0).shows("sharpness", "4 prompts")
    user.types("vdb report veo.jsonl sora.jsonl -o merged --formats=csv,latex").ends(0)
    assert "veo" in user.reads("merged/leaderboard.tex")
    paper = "vdb report veo.jsonl sora.jsonl -o paper --formats=latex --latex-standalone --overall=sharpness:2"
    scored = user.types(f"{paper} --latex-columns=overall,sharpness").ends(0)
    scored.shows("Overall is the weighted mean of sharpness (weight 2)")
    assert r"\documentclass[10pt]{article}" in user.reads("paper/leaderboard.tex")
    user.types(f"{paper} --latex-columns=sharpnes").ends(1).shows("did you mean 'sharpness'")


def test_a_score_that_is_stopped_goes_on(user):
    for prompt in range(3):
        film(user.folder / "clips" / f"p{prompt}.mp4", f"kite {prompt}")
    scored = "vdb score clips -o scores.jsonl --metrics=sharpness --model=kites"
    user.types(scored.replace("clips", "clips/p0.mp4", 1)).ends(0).shows("1 clips, 0 of them scored before")
    user.types(scored).ends(0).shows("3 clips, 1 of them scored before")
    user.types(scored).ends(0).shows("3 clips, 3 of them scored before")


def test_quantised_clips_against_the_full_models(user):
    for prompt in range(2):
        film(user.folder / "full" / f"p{prompt}.mp4", f"kite {prompt}")
        film(user.folder / "quantised" / f"p{prompt}.mp4", f"kite {prompt}", noise=10)
    user.types("vdb score quantised/ --reference full/ --metrics psnr,ssim").ends(0).shows("psnr", "ssim")
    user.types("vdb score full/ --reference full/ --metrics psnr").ends(0).shows("identical")


def test_a_set_against_a_set_and_clips_that_are_too_short(user):
    for prompt in range(3):
        film(user.folder / "real" / f"{prompt}.mp4", f"real {prompt}", frames=16)
        film(user.folder / "made" / f"{prompt}.mp4", f"made {prompt}", frames=16 if prompt else 7)
    user.types("vdb reference build real/ -o real.npz --tiny").ends(0).shows("3 clips")
    seen = user.types("vdb score made/ --reference real.npz --metrics fvd --tiny").ends(0)
    seen.shows("fvd (set)", "2 of 3 clips", "0.mp4: i3d needs 9 frames, got 7")
    user.types("vdb reference build real/ -o moments.npz --tiny --moments-only").ends(0)


def test_what_vbench_published_beside_ones_own(project):
    project.types("pytest benchmarks/ --vdb-models=noise --vdb-prompts=smoke:2 --vdb-metrics=sharpness").ends(0)
    for model, mean in (("wan", 0.9), ("cog", 0.8)):
        result = {"subject_consistency": [mean, [{"video_path": "a cat-0.mp4", "video_results": mean}]]}
        project.writes(f"{model}/results_2026_eval_results.json", json.dumps(result))
    project.types("vdb report wan/*.json cog/*.json -o published").ends(0).shows("2 models", "0.900", "0.800")
    named = project.types("vdb report reports/runs/* wan=wan/results_2026_eval_results.json -o both").ends(0)
    named.shows("noise", "wan", "published")
    project.types("vdb prompts smoke --vbench > smoke.json").ends(0)
    project.types("vdb prompts smoke.json").ends(0)


def test_two_published_results_are_compared_and_their_scores_said(user):
    ours = json.loads((FIXTURES / "published" / "amd_mi355x_vbench_eval_results.json").read_text())
    user.writes("ours_eval_results.json", json.dumps(ours))
    for video in ours["scene"][1]:
        video["video_path"] = f"theirs/{Path(video['video_path']).name}"
        video["video_results"] = video["video_results"] * 0.5
    user.writes("theirs_eval_results.json", json.dumps(ours))
    seen = user.types("vdb compare ours_eval_results.json theirs_eval_results.json").ends(0)
    seen.shows(
        "248 prompts", "A (ours) is better in vbench.scene, mlperf.vbench_score", "10 of 16 dimensions are missing"
    )
    seen = user.types("vdb report ours_eval_results.json theirs_eval_results.json -o both").ends(0)
    seen.shows("mlperf.vbench_score", "69.98", "over each video's last frame")


def test_does_a_metric_say_what_people_say(user):
    shutil.copy(FIXTURES / "ratings" / "t2vscore_results.csv", user.folder / "results.csv")
    shutil.copy(FIXTURES / "ratings" / "t2vscore_alignment_score.json", user.folder / "alignment.json")
    seen = user.types("vdb validate 'CLIP Score' --human alignment.json --scores results.csv --resamples=20").ends(0)
    seen.shows("Spearman", "rated clips")
    user.types("vdb validate 'CLIP Scor' --human alignment.json --scores results.csv").ends(1).shows("CLIP Score")
    user.types("vdb calibrate --metrics=sharpness --scenes=1 --size=64").shows("sharpness", "1 scenes")


def test_which_clips_do_people_prefer(user):
    """A run is made, friends vote on its clips in their browsers, and the table is made again with their column."""
    user.writes("conftest.py", NUMPY_MODELS)
    user.writes("benchmarks/test_it.py", TEST)
    user.types("pytest benchmarks/ --vdb-models=noise,dim --vdb-metrics=sharpness -q").ends(0)
    (run,) = user.runs()
    user.types(f"vdb arena build {run} --output arena").ends(0).shows(
        "6 pairs of 2 models and 1 checks", "vdb arena serve"
    )
    assert "noise" not in user.reads("arena/page/index.html")
    serving = user.begins("vdb arena serve arena --port 0")
    address = serving.stdout.readline().split()[0]
    key = json.loads(user.reads("arena/key.json"))
    for at, (left, right) in enumerate(key["pairs"]):
        for rater in ("anna", "ben", "cleo"):
            choice = (
                "left" if key["shown"][left]["model"] == "noise" and not key["shown"][left]["is_degraded"] else "right"
            )
            choice = "tie" if at == 2 else choice
            vote = {"pair": at, "left": left, "right": right, "choice": choice, "rater": rater}
            sent = Request(f"{address}votes", json.dumps(vote).encode(), {"Content-Type": "application/json"})
            assert urlopen(sent, timeout=30).status == 204
    serving.terminate()
    assert "votes are in arena/votes.jsonl" in serving.communicate(timeout=60)[0]
    counted = "vdb arena count arena/votes.jsonl --arena arena --runs"
    user.types(f"{counted} {run} --output preference.jsonl").ends(0).shows("noise", "3 raters", "sharpness")
    user.types(f"vdb report {run} preference.jsonl").ends(0).shows("preference")
    user.types(f"vdb arena build {run} -o arena").ends(1).shows("there is an arena already")


def test_a_redirect_on_windows_and_a_table_for_excel(user):
    film(user.folder / "模型" / "p1.mp4", "kite")
    user.environment["PYTHONIOENCODING"] = "cp1252"
    user.types("vdb score 模型/ --metrics=sharpness").ends(0).shows("1 clips")
    user.types("vdb report reports/scores/*.jsonl > seen.txt").ends(0)
    user.types("vdb models > models.txt").ends(0)
    assert (user.folder / "reports" / "leaderboard.csv").read_bytes().startswith("\ufeff".encode())
    assert "模型" in user.reads("reports/leaderboard.csv")
