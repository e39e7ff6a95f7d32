"""VMAF against a reference clip, through an ffmpeg that was built with libvmaf.

Netflix's fusion of detail loss, visual information fidelity and motion (model v0.6.1), trained on what people said of
compressed films. No Python package computes it; where no such ffmpeg is found the value is missing and says so.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import Score, metric
from pytest_vdb.metrics.resize import PARTS, at_each_size
from pytest_vdb.records import Clip

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL = "vmaf_v0.6.1"
TIMEOUT_S = 600
SMALLEST_PX = 32
TO_YUV = "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
"""Films are what the model was trained on: BT.709, limited range, colour at half the resolution."""


@metric(
    "vmaf",
    unit="points",
    better="higher",
    bounds=(0, 100),
    parts=PARTS,
    version="v0.6.1",
    default=False,
    orders=("blur", "jpeg"),
    papers=("li2016vmaf",),
)
def vmaf(clip: Clip, reference: Clip) -> dict[str, Score]:
    """Netflix's VMAF against a reference, mean over frames.

    Args:
        clip: frames of at least 32x32 pixels.
        reference: of as many frames; of another size only the parts at 256, 512 and 1024 have a value.

    Returns:
        In [0, 100]: about 100 for identical frames, 6 points are a just noticeable difference. The series has one value
        per frame.

    Raises:
        CannotMeasure: another number of frames; no ffmpeg with libvmaf; it failed.

    Source: Li et al., Toward a practical perceptual video quality metric, Netflix 2016.
    """
    ffmpeg = find_ffmpeg()

    def compare(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Score:
        return Score.mean_of(vmaf_frames(first, second, ffmpeg=ffmpeg, fps=clip.fps))

    return at_each_size(clip, reference, compare)


def vmaf_frames(
    first: NDArray[np.uint8], second: NDArray[np.uint8], *, ffmpeg: Path, fps: float = 24.0
) -> NDArray[np.float64]:
    """Each frame's score, `(T,)`, of two arrays `uint8 (T, H, W, 3)`.

    Args:
        first: what is measured.
        second: the reference.
        ffmpeg: one that has the filter `libvmaf`.
        fps: frames per second of both.

    Raises:
        CannotMeasure: frames that are too small, or ffmpeg failed, with its last words.
    """
    frames, height, width = first.shape[:3]
    if min(height, width) < SMALLEST_PX:
        raise CannotMeasure(f"frames of {width}x{height} pixels are smaller than {SMALLEST_PX}x{SMALLEST_PX}")
    with tempfile.TemporaryDirectory(prefix="vdb-vmaf-") as folder:
        for name, clip in (("first.rgb", first), ("second.rgb", second)):
            clip.tofile(Path(folder) / name)
        raw = ["-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", f"{width}x{height}", "-framerate", f"{fps:g}"]
        graph = (
            f"[0:v]{TO_YUV}[measured];[1:v]{TO_YUV}[reference];"
            f"[measured][reference]libvmaf=model=version={MODEL}:log_fmt=json:log_path=scores.json:n_threads=1"
        )
        inputs = [*raw, "-i", "first.rgb", *raw, "-i", "second.rgb"]
        _run([str(ffmpeg), "-hide_banner", "-nostdin", *inputs, "-lavfi", graph, "-f", "null", "-"], folder)
        logged = json.loads((Path(folder) / "scores.json").read_text())
    series = np.array([frame["metrics"]["vmaf"] for frame in logged["frames"]], dtype=np.float64)
    if len(series) != frames:
        raise CannotMeasure(f"ffmpeg scored {len(series)} of {frames} frames")
    return series


def find_ffmpeg() -> Path:
    """An ffmpeg that has libvmaf: the one on the PATH, else that of the package `imageio-ffmpeg`.

    Raises:
        CannotMeasure: there is none.
    """
    candidates = _candidates()
    found = next(filter(_has_libvmaf, candidates), None)
    if found is not None:
        return found
    names = ", ".join(map(str, candidates))
    raise CannotMeasure(
        f"ffmpeg has no libvmaf: {names}" if names else "there is no ffmpeg on this machine",
        mend="install an ffmpeg that was built with libvmaf, or: pip install imageio-ffmpeg",
    )


@lru_cache(maxsize=8)
def _has_libvmaf(ffmpeg: Path) -> bool:
    """Asked once per session: it takes a process. An ffmpeg that cannot be run has nothing."""
    command = [str(ffmpeg), "-hide_banner", "-filters"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return " libvmaf " in listed.stdout


def _candidates() -> list[Path]:
    found = []
    if on_path := shutil.which("ffmpeg"):
        found.append(Path(on_path))
    spec = importlib.util.find_spec("imageio_ffmpeg")
    if spec is not None and spec.origin:
        found += sorted((Path(spec.origin).parent / "binaries").glob("ffmpeg-*"))
    return found


def _run(command: list[str], folder: str) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise CannotMeasure(f"ffmpeg took longer than {TIMEOUT_S} s") from None
    if done.returncode:
        words = done.stderr.strip().splitlines()
        raise CannotMeasure(f"ffmpeg failed: {words[-1] if words else f'exit status {done.returncode}'}")
