"""Clips on disk: lossless FFV1 for metrics, H.264 and a JPEG for people, and a reader for whatever users have.

Every file appears under its name only when it is complete: it is written beside its place and renamed.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_vdb.errors import BadClip, ClipFileError, OutputError
from pytest_vdb.records import Clip

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNTIMED_FPS = 8.0
"""Frame rate given to frames that carry none (folders, arrays): playback only, no metric of ours depends on it."""

STILLS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
"""Suffixes of the images that are read from a folder."""

_FPS_TAG, _FRAMES_TAG, _SIZE_TAG = "VDB_FPS", "VDB_FRAMES", "VDB_SIZE"
_DIGEST_TAG = "VDB_PIXELS"


def write_lossless(clip: Clip, path: Path) -> None:
    """Write FFV1 (RGB, every pixel exact) into Matroska; `read` gives back the same frames and rate.

    The same clip gives the same bytes. The file carries the digest of its pixels, so `read` notices any damage.

    Raises:
        OutputError: the file cannot be written.
    """
    frames, height, width, _ = clip.frames.shape
    tags = {_FPS_TAG: repr(float(clip.fps)), _FRAMES_TAG: str(frames), _DIGEST_TAG: clip.digest()}
    if min(height, width) < 2:  # FFV1 has no slices for lines of pixels: pad, and cut when reading
        tags[_SIZE_TAG] = f"{height}x{width}"
        clip = _padded(clip, max(2 - height, 0), max(2 - width, 0))
    _write_video(
        clip,
        path,
        container="matroska",
        codec="ffv1",
        pixel_format="bgr0",
        options={"level": "3", "slices": str(_slices(clip)), "g": "1"},
        tags=tags,
    )


def write_preview(clip: Clip, path: Path) -> None:
    """Write H.264 in MP4 for people to watch: lossy, odd sides padded by one row or column. Never measure it.

    The same clip gives the same bytes, for which x264 must not look ahead by macroblock trees: one file in a hundred
    came out otherwise.

    Raises:
        OutputError: the file cannot be written.
    """
    _, height, width, _ = clip.frames.shape
    if height % 2 or width % 2:
        clip = _padded(clip, height % 2, width % 2)
    _write_video(
        clip,
        path,
        container="mp4",
        codec="libx264",
        pixel_format="yuv420p",
        options={"crf": "18", "preset": "veryfast", "threads": "1", "mbtree": "0"},
        movflags="+faststart",
    )


def write_poster(clip: Clip, path: Path) -> None:
    """Write the middle frame as a JPEG.

    Raises:
        OutputError: the file cannot be written.
    """
    import av

    middle = clip.frames[len(clip.frames) // 2]
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.height, encoder.width = middle.shape[:2]
    encoder.pix_fmt, encoder.time_base = "yuvj444p", Fraction(1, 25)
    encoder.qmin = encoder.qmax = 3
    encoder.flags |= av.codec.context.Flags.bitexact
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(middle), format="rgb24").reformat(
        format="yuvj444p", src_color_range="JPEG", dst_color_range="JPEG", dst_colorspace="ITU601"
    )
    data = b"".join(bytes(packet) for step in (frame, None) for packet in encoder.encode(step))
    _atomically(path, lambda part: part.write_bytes(data))


def read(path: Path, *, fps: float | None = None) -> Clip:
    """Read a clip: any video PyAV opens, a GIF, an `.npy` or `.npz` array, or a folder of images in natural order.

    Args:
        path: the file or folder. An `.npz` holds one array, or one named `frames`, and may hold `fps`.
        fps: the rate of sources that carry none; `UNTIMED_FPS` if not given. Sources with a rate keep theirs.

    Raises:
        ClipFileError: missing, empty, truncated, damaged, or not a clip; names the file.
    """
    path = Path(path)
    if not path.exists():
        raise ClipFileError("there is no such file or folder", where=path, mend="check the path")
    rate = UNTIMED_FPS if fps is None else fps
    try:
        if path.is_dir():
            return Clip(_read_folder(path), rate)
        if path.stat().st_size == 0:
            raise ClipFileError("the file is empty", where=path, mend="write it again")
        if path.suffix.lower() in (".npy", ".npz"):
            return _read_array(path, rate)
        return _read_video(path, rate)
    except BadClip as error:
        raise ClipFileError(error.what, where=path, mend=error.mend) from None
    except PermissionError as error:
        raise ClipFileError(f"cannot be read: {error.strerror}", where=path, mend="check its permissions") from None


# Writing ------------------------------------------------------------------------------------------------------------


def _padded(clip: Clip, rows: int, columns: int) -> Clip:
    """Repeat the last row and column."""
    return Clip(np.pad(clip.frames, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="edge"), clip.fps)


def _slices(clip: Clip) -> int:
    """A fixed number, so that the file does not depend on the machine's cores."""
    _, height, width, _ = clip.frames.shape
    return 4 if height * width <= 1_000_000 else 16


def _write_video(
    clip: Clip,
    path: Path,
    *,
    container: str,
    codec: str,
    pixel_format: str,
    options: dict[str, str],
    tags: dict[str, str] | None = None,
    movflags: str = "",
) -> None:
    import av

    rate = Fraction(clip.fps).limit_denominator(1_000_000)
    muxing = {"fflags": "+bitexact"} | ({"movflags": movflags} if movflags else {})

    def write(part: Path) -> None:
        with av.open(str(part), "w", format=container, options=muxing) as out:
            out.metadata.update(tags or {})
            stream: Any = out.add_stream(codec, rate=rate, options=options)
            stream.height, stream.width = clip.frames.shape[1:3]
            stream.pix_fmt = pixel_format
            stream.codec_context.flags |= av.codec.context.Flags.bitexact
            stream.codec_context.time_base = 1 / rate
            for index, pixels in enumerate(clip.frames):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                if pixel_format == "bgr0":
                    frame = frame.reformat(format="bgr0")
                frame.pts, frame.time_base = index, 1 / rate
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))

    _atomically(path, write)


def _atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, then rename it into place; leave nothing behind on failure."""
    path = Path(path)
    part = path.with_name(f".{path.name[:80]}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        part.replace(path)
    except OSError as error:
        raise OutputError(
            f"cannot be written: {error.strerror or error}", where=path, mend="check the disk's space and permissions"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # already renamed, or never made
            part.unlink(missing_ok=True)


# Reading ------------------------------------------------------------------------------------------------------------


def _read_video(path: Path, rate: float) -> Clip:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ClipFileError("it holds no video", where=path, mend="give a video file")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            tags, announced = container.metadata, stream.frames
            frames, packets = [], 0
            for packet in container.demux(stream):
                packets += packet.size > 0
                frames += [frame.to_ndarray(format="rgb24") for frame in packet.decode()]
            found = stream.average_rate or stream.guessed_rate
    except av.error.FFmpegError as error:
        raise ClipFileError(
            f"cannot be decoded: {error.strerror or error}", where=path, mend="it is truncated, damaged or not a video"
        ) from None
    # An edit list may hide frames of a whole file on purpose: what counts is whether all its packets are there.
    expected = int(tags[_FRAMES_TAG]) if tags.get(_FRAMES_TAG, "").isdecimal() else announced
    if not frames or packets < expected:
        raise ClipFileError(
            f"only {min(packets, len(frames))} of {expected or 'its'} frames could be decoded",
            where=path,
            mend="the file is truncated or damaged: copy or render it again",
        )
    size = re.fullmatch(r"(\d+)x(\d+)", tags.get(_SIZE_TAG, ""))
    if size:
        frames = [frame[: int(size[1]), : int(size[2])] for frame in frames]
    clip = Clip(_stack(frames, path), _tagged_rate(tags) or (float(found) if found else rate))
    if _DIGEST_TAG in tags and tags[_DIGEST_TAG] != clip.digest():
        raise ClipFileError("its pixels are not those that were written", where=path, mend="the file is damaged")
    return clip


def _tagged_rate(tags: dict[str, str]) -> float | None:
    """The exact rate that `write_lossless` noted: Matroska keeps it in whole nanoseconds only."""
    try:
        return float(tags[_FPS_TAG])
    except (KeyError, ValueError):
        return None


def _read_array(path: Path, rate: float) -> Clip:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return Clip(_as_frames(loaded, path), rate)
        with loaded:
            names = [name for name in loaded.files if name != "fps"]
            if "frames" not in names and len(names) != 1:
                raise ClipFileError(f"it holds the arrays {names}", where=path, mend="name the one to read 'frames'")
            frames = loaded["frames" if "frames" in names else names[0]]
            stated = float(loaded["fps"]) if "fps" in loaded.files else rate
    except ClipFileError:
        raise
    except Exception as error:  # noqa: BLE001 - numpy and zipfile raise a dozen kinds on a torn or pickled file
        raise ClipFileError(
            f"cannot be read as an array: {error}", where=path, mend="write it with numpy.save"
        ) from None
    return Clip(_as_frames(frames, path), stated)


def _as_frames(array: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """Check an array of frames; grey ones get three channels, an alpha channel is dropped."""
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[-1] not in (1, 3, 4)):
        raise ClipFileError(
            f"an array of {array.dtype} and shape {array.shape} is no clip",
            where=path,
            mend="save uint8 frames as (T, H, W, 3), values 0..255",
        )
    if array.ndim == 3:
        array = array[..., None]
    if array.shape[-1] == 1:
        array = np.repeat(array, 3, axis=-1)
    return np.ascontiguousarray(array[..., :3])


def _read_folder(folder: Path) -> NDArray[np.uint8]:
    import av

    images = sorted(_stills(folder), key=_natural)
    if not images:
        raise ClipFileError("the folder holds no image", where=folder, mend=f"put frames in it: {sorted(STILLS)}")
    frames = []
    for image in images:
        try:
            with av.open(str(image)) as container:
                frames.append(next(container.decode(video=0)).to_ndarray(format="rgb24"))
        except (av.error.FFmpegError, StopIteration, IndexError) as error:
            raise ClipFileError(f"cannot be decoded: {error}", where=image, mend="replace the image") from None
    return _stack(frames, folder)


def _stills(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.suffix.lower() in STILLS and path.is_file())


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts frame_2 before frame_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _stack(frames: list[NDArray[np.uint8]], path: Path) -> NDArray[np.uint8]:
    sizes = {frame.shape for frame in frames}
    if len(sizes) > 1:
        shown = ", ".join(f"{height}x{width}" for height, width, _ in sorted(sizes))
        raise ClipFileError(f"its frames differ in size: {shown}", where=path, mend="give all frames one size")
    return np.stack(frames)
