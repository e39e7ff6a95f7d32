"""Clips that exist already as a model: how to benchmark a closed API, or what another lab has generated.

`--vdb-models=recordings:FOLDER` (or `recordings:NAME=FOLDER`) selects one; `pytest_vdb.models.recordings` says how a
clip is joined to the prompt that it answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_vdb.errors import ClipFileError
from pytest_vdb.escaping import encodable
from pytest_vdb.files import expanded
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.contract import DETERMINISTIC
from pytest_vdb.models.recordings import Found, Recording, clips_in, find, recordings
from pytest_vdb.records import Clip, Prompt, Recipe, digest, seed_of
from pytest_vdb.video import decode

PREFIX = "recordings:"
"""How a selection names a folder of clips."""

FAMILY = "recordings"
"""Of the models that answer from a folder of clips: they generate nothing."""

_MOST_SAMPLES = 1000


def card_of(term: str, beside: Path | None = None) -> ModelCard:
    """The card of `recordings:FOLDER` or `recordings:NAME=FOLDER`; the folder's own name where none is given.

    Args:
        term: as it was selected.
        beside: what a relative FOLDER is relative to; the working folder if not given.

    Raises:
        ClipFileError: no such folder, or no clip in it.
    """
    name, equals, place = term.removeprefix(PREFIX).rpartition("=")
    folder = (beside or Path.cwd()).joinpath(expanded(place)).resolve()
    clips_in(folder)
    return ModelCard(
        name=name if equals else folder.name,
        family=FAMILY,
        tags=(DETERMINISTIC,),
        warm_up=False,
        defaults=Recipe(),
        notes="Clips as they were recorded: the recipe does not change them.",
        where=str(folder),
    )


class RecordedModel:
    """Answers a prompt with the clip that was recorded for it.

    Args:
        folder: of the clips.
        base_seed: what the seeds of the tests were made from; with it each seed stands for one sample.
    """

    def __init__(self, folder: Path, *, base_seed: int = 0) -> None:
        self.folder = folder
        self._base_seed = base_seed
        self._found: Found | None = None
        self.notes: tuple[str, ...] = ()

    def generate(self, prompt: Prompt, _recipe: Recipe, seed: int) -> Clip:
        """The clip of the sample that the seed stands for, with its own size and rate.

        Raises:
            ClipFileError: there is no recording of this prompt or sample, or it cannot be read.
        """
        found = sorted(self._of(prompt), key=lambda recording: recording.sample_index)
        wanted = self._sample_index(prompt, seed)
        chosen = next((recording for recording in found if recording.sample_index == wanted), None)
        if chosen is None:
            has = ", ".join(str(recording.sample_index) for recording in found) or "none"
            raise ClipFileError(
                f"no recording of prompt {prompt.id!r}, sample {wanted} (samples there: {has})",
                where=self.folder,
                mend=f"add {prompt.id}.mp4 (further samples: {prompt.id}-s1.mp4), or a manifest.jsonl that names it",
            )
        decoded = decode(chosen.path)
        self.notes = (f"recorded clip {chosen.name}", *decoded.notes, *_notes_of_twins(found, chosen))
        return decoded.clip

    def fingerprint(self) -> str:
        """Changes with the names, sizes and times of the files."""
        states = [
            (encodable(path.name), path.stat().st_size, path.stat().st_mtime_ns) for path in clips_in(self.folder)
        ]
        return digest([encodable(str(self.folder)), states])

    def _of(self, prompt: Prompt) -> list[Recording]:
        self._found = self._found or find(self.folder)
        known = recordings(self.folder, [prompt], found=self._found)
        return [clip for clip in known if clip.prompt is not None and clip.prompt == prompt]

    def _sample_index(self, prompt: Prompt, seed: int) -> int:
        """Which sample a seed belongs to; the first for a seed that no test of this session has."""
        indices = (index for index in range(_MOST_SAMPLES) if seed_of(self._base_seed, prompt.id, index) == seed)
        return next(indices, 0)


def _notes_of_twins(found: Sequence[Recording], chosen: Recording) -> tuple[str, ...]:
    others = [one.name for one in found if one.sample_index == chosen.sample_index and one is not chosen]
    return (f"other clips of this prompt and sample: {', '.join(others)}",) if others else ()
