"""What can go wrong, said so that it can be mended: what happened, with the value, where it came from, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from pytest_vdb.escaping import visible


class VdbError(Exception):
    """Base of every error that pytest-vdb raises on purpose.

    Its text goes to terminals and logs and quotes names and paths from outside: they are shown, never obeyed.

    Args:
        what: what was wrong, with the value.
        where: the file, option or object it came from.
        mend: what the reader can do about it.
    """

    def __init__(self, what: str, *, where: str | Path | None = None, mend: str | None = None) -> None:
        self.what = what
        self.where = where
        self.mend = mend
        parts = [what if where is None else f"{where}: {what}"]
        if mend is not None:
            parts.append(mend)
        super().__init__("\n  ".join(map(visible, parts)))


class UnknownName(VdbError):
    """A model, suite, metric, report or setting that nobody registered."""

    def __init__(
        self, kind: str, name: str, known: Iterable[str], *, where: str | Path | None = None, mend: str | None = None
    ) -> None:
        self.name = name
        self.near_misses = near_misses(name, known)
        hint = f"did you mean {_either(self.near_misses)}?" if self.near_misses else None
        super().__init__(f"unknown {kind} {name!r}", where=where, mend=" ".join(filter(None, (hint, mend))) or None)


class OptionError(VdbError):
    """A flag or ini key whose value cannot be used."""


class RecipeError(VdbError):
    """A setting that the model cannot follow: refused before anything is loaded."""


class CardError(VdbError):
    """A model card that is not what a card must be."""


class PromptError(VdbError):
    """A prompt file or suite that cannot be read."""


class CannotRunHere(VdbError):
    """A model cannot answer here or under these options, and nothing is wrong with it: a test skips on it."""


class WeightsMissing(CannotRunHere):
    """The weights are not on this machine (and may not or cannot be downloaded now)."""


class LibraryMissing(WeightsMissing):
    """A library that only this model needs is not installed."""


class WallMissing(CannotRunHere):
    """What an isolated model's wall is built by is not installed, or may not build one here."""


class ModelProcessError(VdbError):
    """What the process of an isolated model said in the place of a clip, or how it ended."""


class ModelOutOfMemory(ModelProcessError, MemoryError):
    """The process of an isolated model had no memory left."""


class WeightsBroken(VdbError):
    """The weights are here but cannot be trusted or read: corrupt, pickled, or of another architecture."""


class DoesNotFit(CannotRunHere):
    """The model is known to need more memory than the device has."""


class DoesNotRun(CannotRunHere):
    """The model's class is known not to run in the installed libraries."""


class FailedBefore(CannotRunHere):
    """The model raised while it was loaded, earlier in this process: that test failed, this one is not run."""


class NotCached(CannotRunHere):
    """The clip is not in the cache, and nothing may be generated."""


class PointRefused(CannotRunHere):
    """A point of a sweep that the model cannot follow: the other points are run."""


class OneClipOnly(CannotRunHere):
    """The recipe's batch is for calls that are timed, and this one makes one clip."""


class BadClip(VdbError):
    """What a model produced is no clip: NaN, a wrong shape or frame count, or one constant colour."""


class FasterThanPhysics(VdbError):
    """A latency below what the device needs at best: it, the count or the device's peak is wrong."""


class ClipFileError(VdbError):
    """A clip file that is missing, truncated or not a video."""


class TooLarge(ClipFileError):
    """An input that would take more memory than the budget of one file, or more frames."""


class MetricError(VdbError):
    """A metric whose declaration cannot be used."""


class MeasuredTwice(VdbError):
    """A test measured a second sample: its record has one seed and one value of each metric."""


class CannotMeasure(VdbError):
    """A metric cannot be computed from this input; becomes the reason of a missing value, never a number."""


class ClipTooShort(CannotMeasure):
    """The metric looks at neighbouring frames and there are not enough of them."""

    def __init__(self, *, needed: int, got: int) -> None:
        super().__init__(f"needs {needed} frames, got {got}")


class CannotCount(VdbError):
    """Nobody knows how many operations an operator does; becomes the reason of a missing count, never a number."""


class RecordError(VdbError):
    """A record, run or baseline file that cannot be read as one."""


class NewerSchema(RecordError):
    """A record that a newer pytest-vdb wrote."""

    @classmethod
    def refuse(cls, found: object, known: int, *, where: str | Path | None) -> None:
        """Whatever schema a file says, refuse one that is newer than is known here.

        Raises:
            NewerSchema: it is.
        """
        if isinstance(found, int) and found > known:
            what = f"schema {found} is newer than this pytest-vdb reads ({known})"
            raise cls(what, where=where, mend="upgrade with: pip install --upgrade pytest-vdb")


class DefinitionMissing(RecordError):
    """A record that needs a definition which no line before it has."""


class BlockFailed(VdbError):
    """One of the sessions of two versions that run in turns: it measured nothing, or did not end as it should."""


class OutputError(VdbError):
    """The output folder cannot take what the run will write."""


class StorageError(VdbError):
    """What machines share cannot be reached, or has not what it should have."""


class EngineError(VdbError):
    """What should run shards is not there, or cannot."""


class ShardDied(VdbError):
    """The session of a shard ended otherwise than a session of tests does: whoever runs it shall try again."""


class ServiceError(VdbError):
    """A service on the network that cannot be reached, or did not do what it was asked."""


def near_misses(name: str, known: Iterable[str]) -> list[str]:
    """Up to three known names that `name` may have meant, the closest first."""
    return difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)


def _either(names: list[str]) -> str:
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
