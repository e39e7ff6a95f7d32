"""The copies of a clip that people watch, in the run's folder; metrics never read them."""

from __future__ import annotations

from pathlib import Path

from pytest_vdb import video
from pytest_vdb.escaping import file_name
from pytest_vdb.files import make_folder
from pytest_vdb.records import Clip, ClipFiles, digest

CLIPS = "clips"
"""The folder of previews and posters in a run's folder."""


def stem_of(model: str, prompt: str | None, benchmark: str, key: str) -> str:
    """What the files of one benchmark's clip are called in the run's folder."""
    named = "-".join(file_name(part) for part in (model, prompt) if part)
    return f"{named}-{digest([benchmark, key], length=8)}"


def write_previews(clip: Clip, run_folder: Path, stem: str, *, lossless: str | None) -> ClipFiles:
    """Write an H.264 copy and a poster.

    Args:
        run_folder: the run's folder.
        stem: from `stem_of`.
        lossless: the clip's name in the clip cache, if it is kept there.

    Raises:
        OutputError: the disk did not take them.
    """
    make_folder(run_folder / CLIPS)
    preview, poster = f"{CLIPS}/{stem}.mp4", f"{CLIPS}/{stem}.jpg"
    video.write_preview(clip, run_folder / preview)
    video.write_poster(clip, run_folder / poster)
    frames, height, width, _ = clip.frames.shape
    return ClipFiles(
        digest=clip.digest(),
        frames=frames,
        height=height,
        width=width,
        fps=clip.fps,
        lossless=lossless,
        preview=preview,
        poster=poster,
    )
