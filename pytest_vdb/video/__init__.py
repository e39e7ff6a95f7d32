"""Clips on disk: lossless FFV1 for metrics, H.264 and a JPEG for people, and a reader for whatever users have.

Every file appears under its name only when it is complete: it is written beside its place and renamed.
"""

from pytest_vdb.video.containers import holds_video
from pytest_vdb.video.decoded import UNTIMED_FPS, Decoded
from pytest_vdb.video.reading import decode, read
from pytest_vdb.video.stills import STILLS, is_animated
from pytest_vdb.video.writing import write_lossless, write_poster, write_preview

__all__ = [
    "STILLS",
    "UNTIMED_FPS",
    "Decoded",
    "decode",
    "holds_video",
    "is_animated",
    "read",
    "write_lossless",
    "write_poster",
    "write_preview",
]
