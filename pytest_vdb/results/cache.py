"""Finished clips by what they were made from: `KEY.mkv` (lossless) and `KEY.json` (what it is), nothing else.

A key is the digest of an identity, so no name from outside ever becomes a path. The JSON is written last: an entry
exists when its JSON does. What is read is verified; what fails the check is a miss that is said, never a crash.
Machines may share what they made, through an address behind the folder: see `shared_clips.py`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import files, video
from pytest_vdb.errors import ClipFileError, RecordError, VdbError
from pytest_vdb.records import Clip, digest

if TYPE_CHECKING:
    from pytest_vdb.results.shared_clips import SharedClips

LAYOUT = 1
"""Part of every key: changes when entries are kept in another way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedClip:
    """One entry."""

    key: str
    clip: Clip
    path: Path
    about: dict[str, Any]
    """What `put` was told, e.g. the run that made it."""


class ClipCache:
    """Clips under one root, shared by any number of processes.

    Two writers of one key are fine: each writes whole files, and a mixture of the two fails its check.

    Args:
        root: of this machine.
        shared: what machines share behind it; None: nothing.
    """

    def __init__(self, root: Path, shared: SharedClips | None = None) -> None:
        self.root = Path(root)
        self._shared = shared
        self.problems: list[str] = []
        """Entries that were there and could not be used, and why."""

    def key(self, **identity: object) -> str:
        """The key of everything that can change the pixels: JSON-like values only. 32 hex digits."""
        return digest([LAYOUT, identity], length=32)

    def get(self, key: str) -> CachedClip | None:
        """The clip, checked against the digest of its pixels; None (a miss) if it is absent or fails the check."""
        path, card = self._path(key, ".mkv"), self._path(key, ".json")
        if self._shared is not None and not files.is_file(card):
            self._shared.fetch(self._names(path, card))
        try:
            about = files.parse_json(card.read_bytes(), where=card, error=RecordError)
            clip = video.read(path)
            if clip.digest() != about["pixels"]:
                raise ClipFileError("its pixels are not those of its JSON", where=path)
            return CachedClip(key=key, clip=clip, path=path, about=dict(about["about"]))
        except FileNotFoundError:
            return None
        except (ClipFileError, RecordError, OSError, ValueError, TypeError, KeyError) as error:
            said = error.what if isinstance(error, VdbError) else f"{type(error).__name__}: {error}"
            self.problems.append(f"{path}: cached clip ignored: {said}")
            return None

    def put(self, key: str, clip: Clip, about: dict[str, Any]) -> CachedClip:
        """Keep a clip; replaces what was there.

        Raises:
            OutputError: the disk did not take it; no half entry is left.
        """
        path, card = self._path(key, ".mkv"), self._path(key, ".json")
        video.write_lossless(clip, path)
        frames, height, width, _ = clip.frames.shape
        entry = {"pixels": clip.digest(), "frames": frames, "height": height, "width": width, "fps": clip.fps}
        files.write(card, json.dumps({**entry, "about": about}, ensure_ascii=False) + "\n")
        if self._shared is not None:
            self._shared.send(self._names(path, card))
        return CachedClip(key=key, clip=clip, path=path, about=about)

    def settle(self, patience_s: float) -> list[str]:
        """Wait for what is under way to other machines; what did not reach them, a sentence each."""
        return [] if self._shared is None else self._shared.settle(patience_s)

    def _names(self, *paths: Path) -> list[str]:
        return [path.relative_to(self.root).as_posix() for path in paths]

    def _path(self, key: str, suffix: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{16,64}", key):
            raise RecordError(f"{key!r} is no cache key", mend="make keys with ClipCache.key")
        return self.root / key[:2] / f"{key}{suffix}"
