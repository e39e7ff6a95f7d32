"""What a benchmark does: generate a clip, check it, measure it, record it. The `vdb` fixture gives tests one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_vdb.bench.generation import Made, generated
from pytest_vdb.bench.previews import stem_of, write_previews
from pytest_vdb.bench.timing import rates, timed
from pytest_vdb.errors import BadClip, MeasuredTwice, OptionError
from pytest_vdb.records import (
    LEAST_STD,
    Clip,
    ClipFiles,
    Failure,
    Measurement,
    Prompt,
    Record,
    Sample,
    Status,
    seed_of,
)
from pytest_vdb.results import features

if TYPE_CHECKING:
    from pytest_vdb.bench.session import Session
    from pytest_vdb.bench.shelf import ModelHandle
    from pytest_vdb.metrics.contract import MetricSpec
    from pytest_vdb.sweeps import Point


class Bench:
    """One benchmark's bench: everything it generates and measures goes into its record.

    Args:
        session: what it shares with the others.
        name: what it is called in messages and in the names of its files: a test's id.
        blank: its record as it stands before anything ran; None: it is about no model, and nothing is recorded.
        seed: of its clips, where none is asked for.
        point: of the session's sweep; None: there is none, or it is about no model.
    """

    def __init__(
        self, session: Session, name: str, blank: Record | None, seed: int, point: Point | None = None
    ) -> None:
        self._session = session
        self._name = name
        self._blank = blank
        self._seed = seed
        self._point = point
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()
        self._sample: Sample | None = None
        """The one that the record is about: the first of the test's model, or the one that was measured."""
        self._measured: Sample | None = None
        self._made: list[Made] = []
        self._files: ClipFiles | None = None
        self._features: str | None = None
        self._stem = ""
        """What the files of this test are called in the run's folder."""
        self._measurements: dict[str, Measurement] = {}
        self._notes: list[str] = []

    # What a test calls ----------------------------------------------------------------------------------------------

    @property
    def model_name(self) -> str | None:
        """The model that the benchmark is about."""
        return self._blank.model if self._blank is not None else None

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The session's prompts."""
        return self._session.suite.prompts

    @property
    def metrics(self) -> tuple[MetricSpec, ...]:
        """The session's metrics."""
        return self._session.metrics

    def model(self, name: str) -> ModelHandle:
        """Any model by its name, e.g. to compare with; it need not be selected."""
        return self._session.handle(name, self._point)

    def generate(self, model: ModelHandle | str, prompt: Prompt, seed: int | None = None) -> Sample:
        """One clip with a pinned seed, profiled; or the same clip from the cache, which says so.

        Args:
            model: what `vdb_model` gave, or a model's name.
            prompt: the input.
            seed: default: the test's own (`vdb_seed`).
        """
        handle = self.model(model) if isinstance(model, str) else model
        seed = self._seed if seed is None else seed
        made = generated(self._session, handle, prompt, seed, self.record)
        self._made.append(made)
        if handle.name == self.model_name and self._sample is None:
            self._keep(made)
        return made.sample

    def time(
        self,
        benchmark: object,
        model: ModelHandle | str,
        prompt: Prompt | Sequence[Prompt],
        seed: int | Sequence[int] | None = None,
    ) -> Clip:
        """Time a warm model by the protocol (docs/readings.md) and record what it costs; not from the cache.

        A call makes as many clips as the recipe's `batch`.

        Args:
            benchmark: the `benchmark` fixture of pytest-benchmark.
            model: what `vdb_model` gave, or a model's name.
            prompt: the input, the same in every round; or several, which the clips of a batch answer in turn.
            seed: default: the test's own (`vdb_seed`). Further clips of a batch have those of further samples, as they
                would have in tests of their own; or a seed of each.

        Returns:
            The clip of the last round; of a batch its first.

        Raises:
            OptionError: another number of seeds than the batch has clips.
        """
        handle = self.model(model) if isinstance(model, str) else model
        prompts = (prompt,) if isinstance(prompt, Prompt) else tuple(prompt)
        asked, seeds = self._batch(handle, prompts, seed)
        if len(seeds) > 1:
            self.note(f"{len(seeds)} clips in each call, of the seeds {', '.join(map(str, seeds))}")
        found = timed(self._session, handle, asked, seeds, benchmark, self.record)
        self._notes += found.notes
        return found.clips[0]

    def _batch(
        self, handle: ModelHandle, prompts: Sequence[Prompt], seed: int | Sequence[int] | None
    ) -> tuple[tuple[Prompt, ...], tuple[int, ...]]:
        """The prompt and the seed of each clip of a call."""
        size = handle.recipe.clips
        if not prompts:
            raise OptionError("no prompt", where="vdb.time", mend="give at least one")
        asked = tuple(prompts[at % len(prompts)] for at in range(size))
        if isinstance(seed, Sequence):
            if len(seed) != size:
                what = f"{len(seed)} seeds for a call of {size} clips"
                raise OptionError(what, where="vdb.time", mend="give a seed for each clip, or one for the first")
            return asked, tuple(seed)
        first = self._seed if seed is None else seed
        return asked, (first, *(self._seed_of_clip(at, prompts) for at in range(1, size)))

    def _seed_of_clip(self, at: int, prompts: Sequence[Prompt]) -> int:
        """Of a further clip of a batch: that of a sample of which no other test of the session makes a first clip."""
        options = self._session.options
        own, sample = (self._blank.prompt, self._blank.sample_index) if self._blank is not None else (None, 0)
        prompt = (own or "") if len(prompts) == 1 else prompts[at % len(prompts)].id
        return seed_of(options.seed, prompt, sample + options.samples * (at // len(prompts)))

    def check(self, sample: Sample) -> None:
        """Fail for what is really wrong with a clip.

        Raises:
            BadClip: another frame count or size than the recipe's, or one constant colour.
        """
        where = f"model {self.model_name}" if self.model_name else self._name
        for name, made in zip(("frames", "height", "width"), sample.clip.frames.shape, strict=False):
            asked = getattr(sample.recipe, name)
            if asked not in (None, made):
                raise BadClip(f"{name}: asked for {asked}, got {made}", where=where, mend="mend the model or its card")
        if float(sample.clip.frames.std()) < LEAST_STD:
            level = sample.clip.frames.mean()
            raise BadClip(f"one constant colour (mean level {level:.0f} of 255)", where=where)

    def measure(self, sample: Sample, reference: Clip | None = None) -> tuple[Measurement, ...]:
        """Compute the session's metrics on one sample and record them; with a reference, the paired ones too.

        A test records one sample of its own model: `scores` measures any other without recording it.

        Raises:
            MeasuredTwice: another sample was measured in this test already.
            OptionError: the sample is another model's.
        """
        self._settle_on(sample)
        with self._session.activity.of("measures", self.model_name or self._name, sample.prompt.id):
            scores = self._session.engine.measure(sample.clip, sample.prompt, reference)
        measurements = scores.measurements + self._pairwise(sample, reference)
        self.record(*measurements)
        if sample is self._sample and any(spec.scope == "set" for spec in self.metrics):
            self._features = f"features/{self._stem}.npz"
            features.save(self._session.run_folder / self._features, scores.features, scores.identities, scores.absent)
        return measurements

    def _settle_on(self, sample: Sample) -> None:
        """The record is about this sample from now on: its seed, readings and clip."""
        if self._measured is not None and self._measured is not sample:
            raise MeasuredTwice(
                f"a sample was already measured in this test (seed {self._measured.seed}; this one: {sample.seed})",
                where=self._name,
                mend="give each sample a test of its own with --vdb-samples, or look at it with vdb.scores(sample)",
            )
        made = next((made for made in self._made if made.sample is sample), None)
        if made is not None and made.model != self.model_name and self.model_name is not None:
            raise OptionError(
                f"a sample of {made.model!r} is measured in a test of {self.model_name!r}",
                where=self._name,
                mend="look at it with vdb.scores(sample), which records nothing",
            )
        self._measured = sample
        if made is not None and sample is not self._sample:
            self._keep(made)

    def scores(self, sample: Sample, reference: Clip | None = None) -> dict[str, Measurement]:
        """The session's metrics on one sample, by name; not recorded."""
        measured = self._session.engine.measure(sample.clip, sample.prompt, reference).measurements
        return {measurement.name: measurement for measurement in measured + self._pairwise(sample, reference)}

    def _pairwise(self, sample: Sample, reference: Clip | None) -> tuple[Measurement, ...]:
        """The default's paired metrics, where there is a clip to compare with."""
        if reference is None:
            return ()
        return self._session.engine_of_pairs.measure(sample.clip, sample.prompt, reference).measurements

    def metrics_that_order(self, degradation: str, *, with_reference: bool = False) -> list[str]:
        """The session's metrics that claim to rank this degradation as a person would.

        A metric that looks through a tiny random network cannot: it is left out. The default's paired metrics are
        among them where the test has a clip to compare with.
        """
        metrics = self.metrics + (self._session.metrics_of_pairs if with_reference else ())
        able = [spec for spec in metrics if not (spec.backbones and self._session.engine.tiny)]
        return [name for spec in able if degradation in spec.orders for name in spec.part_names()]

    def record(self, *measurements: Measurement) -> None:
        """Add measurements of your own to the test's record."""
        self._measurements.update({measured.name: measured for measured in measurements})

    def timed_rounds(self, wanted: int) -> int:
        """How often to time a call: once where timings are withheld anyway."""
        return 1 if self._session.why_timings_are_withheld else wanted

    def record_rounds(self, benchmark: object, *, frames: int, fps: float | None = None, clips: int = 1) -> None:
        """Record what pytest-benchmark's `benchmark.pedantic` timed: every round is one call of a warm model.

        Args:
            benchmark: the `benchmark` fixture, after its call.
            frames: of each clip, for the throughput.
            fps: at which they play, for the real-time factor.
            clips: that each call made.
        """
        self.record(*rates(self._session, benchmark, frames=frames, fps=fps, clips=clips))

    def note(self, text: str) -> None:
        """Add a sentence to the test's record."""
        self._notes.append(text)

    def _keep(self, made: Made) -> None:
        self._sample = made.sample
        self.record(*made.sample.readings)
        asked = self._blank.prompt if self._blank is not None else None
        self._stem = stem_of(made.model, asked, self._name, made.key)
        key = None if self._session.options.cache == "never" else made.key
        self._files = write_previews(made.sample.clip, self._session.run_folder, self._stem, lossless=key)

    # The record -----------------------------------------------------------------------------------------------------

    def to_record(self, status: Status, failure: Failure | None = None, *, worker: str | None = None) -> Record | None:
        """Everything that was found out so far, whatever became of it; None: it is about no model."""
        if self._blank is None:
            return None
        return replace(
            self._blank if self._sample is None else _about_sample(self._blank, self._sample),
            status=status,
            worker=worker,
            started_at=self._started.isoformat(timespec="milliseconds"),
            duration_s=round(time.perf_counter() - self._clock, 6),
            measurements=tuple(self._measurements.values()),
            clip=self._files,
            features=self._features,
            notes=(*self._notes, *self._notes_of_sample()),
            failure=failure,
        )

    def _notes_of_sample(self) -> tuple[str, ...]:
        if self._sample is None:
            return ()
        seeds = [str(made.sample.seed) for made in self._made if made.model == self.model_name]
        several = (f"one of {len(seeds)} clips of this test, of the seeds {', '.join(seeds)}",) if seeds[1:] else ()
        return (*self._sample.notes, *several)


def _about_sample(record: Record, sample: Sample) -> Record:
    """What the clip was made from, which a test may choose by itself."""
    return replace(
        record,
        prompt=sample.prompt.id,
        prompt_text=sample.prompt.text,
        category=sample.prompt.category,
        seed=sample.seed,
        reused_from=sample.reused_from,
    )


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory left, on the host or on the device."""
    return (
        isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    )  # torch's, which is not imported


def failure_of(error: BaseException | None, traceback: str | None, *, otherwise: str = "failed") -> Failure:
    """Why a benchmark did not pass; what is `otherwise` called has no error."""
    kind = otherwise if error is None else type(error).__name__
    message = str(error) if error is not None else (traceback or "no reason given")
    return Failure(type=kind, message=message[:2000], traceback=traceback[-8000:] if traceback else None)
