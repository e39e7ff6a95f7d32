"""Scoring clips that exist already: one record per clip, kept as it comes, so that a stopped session goes on.

A clip is scored again only when something changed that could change its numbers: its file, its prompt, its reference,
a metric's version, the weights that were named, or a network that was not on this machine and now is.
"""

from __future__ import annotations

import hashlib
import os
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_vdb import video
from pytest_vdb.backbones import published
from pytest_vdb.bench.pool import side_by_side
from pytest_vdb.errors import BadClip, ClipFileError, RecordError, VdbError
from pytest_vdb.files import is_file, is_folder, regular
from pytest_vdb.metrics.contract import MetricSpec
from pytest_vdb.metrics.engine import Engine, Scores
from pytest_vdb.models.recordings import Recording
from pytest_vdb.records import Clip, ClipFiles, Failure, Measurement, Record, digest
from pytest_vdb.results import features, ledger
from pytest_vdb.results.ledger import SCORE, Ledger

__all__ = ["Ledger", "Outcome", "Scorer", "by_name", "file_digest", "root_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one clip."""

    recording: Recording
    record: Record
    scores: Scores
    """With the features that set metrics need; empty for a clip that failed."""
    reused: bool = False
    """Whether an earlier session measured it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A clip on its way to the engine: decoded, or known already, or why it cannot be."""

    recording: Recording
    settings: dict[str, Any]
    known: Record | None = None
    clip: Clip | None = None
    reference: Clip | None = None
    notes: tuple[str, ...] = ()
    """What the clip's reader had to decide."""
    failure: VdbError | None = None

    @property
    def key(self) -> str:
        return digest(self.settings)


@dataclass(frozen=True, slots=True)
class _Measured:
    """A clip that left the engine: with its scores, or with what it raised, or with neither where none was needed."""

    ready: _Prepared
    scores: Scores | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """Scores recordings with one engine into one ledger."""

    engine: Engine
    ledger: Ledger
    model: str
    """What the records call the source of the clips."""
    run: str
    cache_dir: Path
    backbones: Mapping[str, Path] = field(default_factory=dict)
    references: Mapping[str, Path] = field(default_factory=dict)
    """The reference clip of each recording, by the recording's name."""
    folder: str = ""
    """Where the clips lie, as the ledger spells it: with a clip's name its identity."""
    at_a_time: int | None = None
    """How many clips are held and measured at a time; default: one per core."""

    def score(self, recordings: Sequence[Recording]) -> Iterator[Outcome]:
        """One outcome per clip, in order. As many clips are decoded and measured side by side as there are cores.

        Raises:
            VdbError: what concerns every clip: a metric's weights are broken, the ledger cannot be written.
        """
        yield from map(self._outcome, side_by_side(self._measured, recordings, at_a_time=self.at_a_time))

    def _measured(self, recording: Recording) -> _Measured:
        """Decode and measure one clip, unless it is known; nothing is written yet."""
        ready = self._prepare(recording)
        if ready.known is not None or ready.clip is None:
            return _Measured(ready)
        try:
            return _Measured(ready, scores=self.engine.measure(ready.clip, recording.prompt, ready.reference))
        except VdbError:
            raise  # weights that are broken, a metric that is none: no clip will fare better
        except Exception as error:  # noqa: BLE001 - one clip's failure is that clip's; it is recorded and said
            return _Measured(ready, error=error)

    def _prepare(self, recording: Recording) -> _Prepared:
        settings: dict[str, Any] = {}
        try:
            settings = self._settings(recording)
            known = self.ledger.find(digest(settings))
            if known is not None and self._still_holds(known, digest(settings)):
                return _Prepared(recording=recording, settings=settings, known=known)
            named = self.references.get(recording.name)
            decoded, reference = video.decode(recording.path), None if named is None else video.decode(named)
            return _Prepared(
                recording=recording,
                settings=settings,
                clip=decoded.clip,
                reference=None if reference is None else reference.clip,
                notes=(*decoded.notes, *(f"its reference: {note}" for note in (reference.notes if reference else ()))),
            )
        except (ClipFileError, BadClip) as error:
            return _Prepared(recording=recording, settings=settings, failure=error)

    def _outcome(self, measured: _Measured) -> Outcome:
        ready, scores = measured.ready, measured.scores
        if ready.known is not None:
            kept = self._kept_features(ready.key) if self._set_features() else Scores(())
            record = self._said_again(ready)
            return Outcome(recording=ready.recording, record=record, scores=kept, reused=ready.known.run != self.run)
        if scores is None:
            return self._failed(ready, measured.error or ready.failure)
        if self._set_features():
            path = ledger.features_of(self.ledger.path, ready.key)
            features.save(path, scores.features, scores.identities, scores.absent)
        record = self._record(ready, scores.measurements)
        self.ledger.append(record)
        return Outcome(recording=ready.recording, record=record, scores=scores)

    def _said_again(self, ready: _Prepared) -> Record:
        """The record of a clip that needs no measuring.

        A twin, a renamed clip, and one that another model is now said to have made get one of their own: same values.
        """
        known, about = ready.known, self._about(ready)
        assert known is not None
        own = self.ledger.clip(self.folder, ready.recording.name)
        if own is not None and _same_clip(own, about):
            return own
        recipe = {**about.recipe, "networks": known.recipe.get("networks", [])}
        record = replace(about, recipe=recipe, measurements=known.measurements, clip=known.clip, notes=known.notes)
        self.ledger.append(record)
        return record

    def _kept_features(self, key: str) -> Scores:
        """What set metrics look at, if it was kept; none where it cannot be read: it is computed again."""
        try:
            return Scores((), *features.load(ledger.features_of(self.ledger.path, key)))
        except RecordError:
            return Scores(())

    def _record(self, ready: _Prepared, measurements: tuple[Measurement, ...]) -> Record:
        """What was measured now, and what an earlier session measured besides."""
        earlier, names = self.ledger.find(ready.key), {measured.name for measured in measurements}
        besides = tuple(m for m in (earlier.measurements if earlier else ()) if m.name not in names)
        clip = ready.clip
        assert clip is not None
        frames, height, width, _ = clip.frames.shape
        files = ClipFiles(digest=clip.digest(), frames=frames, height=height, width=width, fps=clip.fps)
        # The networks that were here are no part of the identity: a later session asks whether there are more now.
        about = self._about(ready)
        recipe = {**about.recipe, "networks": list(self._networks())}
        return replace(about, recipe=recipe, measurements=measurements + besides, clip=files, notes=ready.notes)

    def _failed(self, ready: _Prepared, error: Exception | None) -> Outcome:
        what = error or ClipFileError("no clip")
        known = isinstance(what, VdbError)
        failure = Failure(
            type=type(what).__name__,
            message=str(what) if known else f"{type(what).__name__}: {what}",
            traceback=None if known else "".join(traceback.format_exception(what)),
        )
        record = replace(self._about(ready), status="failed", failure=failure)
        self.ledger.append(record)
        return Outcome(recording=ready.recording, record=record, scores=Scores(()))

    def _about(self, ready: _Prepared) -> Record:
        prompt = ready.recording.prompt
        return Record(
            run=self.run,
            nodeid=ready.recording.name,
            benchmark=SCORE,
            model=self.model,
            status="passed",
            prompt=prompt.id if prompt else None,
            prompt_text=prompt.text if prompt else None,
            category=prompt.category if prompt else None,
            sample_index=ready.recording.sample_index,
            weights="none",
            recipe={**ready.settings, **self._place_of(ready)},
            recipe_digest=ready.key,
        )

    def _place_of(self, ready: _Prepared) -> dict[str, Any]:
        """Where the clip lies, and where its file lay before, if it was moved or renamed."""
        if not self.folder:
            return {}
        place: dict[str, Any] = {ledger.FOLDER: self.folder}
        content = ready.settings.get(ledger.FILE)
        if content is None or self.ledger.clip(self.folder, ready.recording.name) is not None:
            return place
        former = self.ledger.former_name(content)
        return place if former is None else place | {ledger.RENAMED_FROM: list(former)}

    def _settings(self, recording: Recording) -> dict[str, Any]:
        """Everything but the metrics' versions that could change a number."""
        reference, prompt = self.references.get(recording.name), recording.prompt
        return {
            ledger.FILE: file_digest(recording.path),
            "prompt": [prompt.id, prompt.text] if prompt else None,
            "reference": None if reference is None else file_digest(reference),
            "backbones": {name: _weights_digest(path) for name, path in sorted(self.backbones.items())},
            "tiny": self.engine.tiny,
        }

    def _still_holds(self, record: Record, key: str) -> bool:
        """Whether an earlier record answers everything that is asked now."""
        if record.failure is not None or not set(self._networks()) <= set(record.recipe.get("networks", ())):
            return False
        if self._set_features():
            kept = self._kept_features(key)
            if not self._set_features() <= kept.features.keys() | kept.absent.keys():
                return False
        asked = (spec for spec in self.engine.metrics if spec.scope != "set")
        return all(_is_of(spec, record.measurement(name)) for spec in asked for name in spec.part_names())

    def _set_features(self) -> set[str]:
        """The features that this session's set metrics look at and that can be had on this machine."""
        here = self._networks()
        of_sets = (spec for spec in self.engine.metrics if spec.scope == "set")
        return {feature.name for spec in of_sets for feature, network in spec.looks_at if network.name in here}

    def _networks(self) -> tuple[str, ...]:
        """The networks of this session's metrics whose weights are on this machine."""
        return tuple(
            network.name
            for network in dict.fromkeys(network for spec in self.engine.metrics for network in spec.networks)
            if self.engine.tiny
            or network.name in self.backbones
            or published.is_here(network, cache_dir=self.cache_dir)
        )


def _same_clip(known: Record, about: Record) -> bool:
    """Whether a record says all that would be said now of the clip, besides its values."""
    same = (known.recipe_digest, known.model, known.sample_index, known.category, known.failure)
    return same == (about.recipe_digest, about.model, about.sample_index, about.category, None)


def root_of(recording: Recording) -> Path:
    """The folder that a recording's name is relative to."""
    return Path(*recording.path.parts[: -len(Path(recording.name).parts)])


def _is_of(spec: MetricSpec, measured: Measurement | None) -> bool:
    """Whether a measurement was made by this version of the metric."""
    return measured is not None and measured.version.partition("+")[0] == spec.version


def by_name(recordings: Iterable[Recording], references: Sequence[Recording]) -> dict[str, Path]:
    """The reference of each recording: the clip of its name, suffix apart; one clip and one reference need no names."""
    recordings = list(recordings)
    if len(recordings) == len(references) == 1:
        return {recordings[0].name: references[0].path}
    known = {_stem(one.name): one.path for one in references}
    return {one.name: known[_stem(one.name)] for one in recordings if _stem(one.name) in known}


def _stem(name: str) -> str:
    return str(Path(name).with_suffix("")) if "." in Path(name).name else name


def file_digest(path: Path) -> str:
    """SHA-256 of a clip's file, or of a folder's images and their names; 16 hex digits.

    Raises:
        ClipFileError: it cannot be read.
    """
    state = hashlib.sha256()
    try:
        if is_folder(path):
            for image in sorted(entry for entry in path.iterdir() if entry.suffix.lower() in video.STILLS):
                state.update(os.fsencode(image.name) + b"\0" + _sha256(image))
        else:
            return _sha256(path).hex()[:16]
    except OSError as error:
        raise ClipFileError(f"cannot be read: {error.strerror}", where=path, mend="check the path") from None
    return state.hexdigest()[:16]


def _sha256(path: Path) -> bytes:
    with regular(path, error=ClipFileError).open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


@lru_cache
def _weights_digest(path: Path) -> str:
    """Of named weights: of a file its bytes, of a folder the names and sizes in it."""
    if is_folder(path):
        return digest(sorted([entry.name, entry.stat().st_size] for entry in path.rglob("*") if is_file(entry)))
    return file_digest(path)
