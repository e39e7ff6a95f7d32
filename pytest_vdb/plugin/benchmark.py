"""What the `vdb` fixture gives a test: generate a clip, check it, measure it, record it."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pytest_vdb import video
from pytest_vdb.errors import BadClip, MeasuredTwice, OptionError
from pytest_vdb.plugin.cases import Case, slug
from pytest_vdb.plugin.loading import LoadFailed, ModelHandle
from pytest_vdb.plugin.workbench import Workbench
from pytest_vdb.records import (
    Better,
    Clip,
    ClipFiles,
    Failure,
    Measurement,
    Prompt,
    Record,
    Sample,
    Status,
    digest,
    from_plain,
    to_plain,
)
from pytest_vdb.results import features

if TYPE_CHECKING:
    from pytest_vdb.metrics.contract import MetricSpec
    from pytest_vdb.results.cache import CachedClip

LEAST_STD = 0.5
"""Standard deviation, in 8-bit levels, below which a clip counts as one constant colour."""


class Benchmark:
    """One test's bench: everything it generates and measures goes into its record."""

    def __init__(self, workbench: Workbench, case: Case, nodeid: str, blank: Record | None) -> None:
        self.case = case
        self._bench = workbench
        self._nodeid = nodeid
        self._blank = blank
        """The record as it stood before anything ran; None: the test is about no model, so nothing is recorded."""
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()
        self._sample: Sample | None = None
        """The one that the record is about: the first of the test's model, or the one that was measured."""
        self._measured: Sample | None = None
        self._made: list[_Made] = []
        self._files: ClipFiles | None = None
        self._features: str | None = None
        self._stem = ""
        """What the files of this test are called in the run's folder."""
        self._measurements: dict[str, Measurement] = {}
        self._notes: list[str] = []

    # What a test calls ----------------------------------------------------------------------------------------------

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The session's prompts."""
        return self._bench.suite.prompts

    @property
    def metrics(self) -> tuple[MetricSpec, ...]:
        """The session's metrics."""
        return self._bench.metrics

    def model(self, name: str) -> ModelHandle:
        """Any model by its name, e.g. to compare with; it need not be selected."""
        return self._bench.handle(name)

    def generate(self, model: ModelHandle | str, prompt: Prompt, seed: int | None = None) -> Sample:
        """One clip with a pinned seed, profiled; or the same clip from the cache, which says so.

        Args:
            model: what `vdb_model` gave, or a model's name.
            prompt: the input.
            seed: default: the test's own (`vdb_seed`).
        """
        handle = self.model(model) if isinstance(model, str) else model
        seed = self._bench.seed(self.case) if seed is None else seed
        key = self._bench.cache.key(**self._bench.clip_identity(handle, prompt, seed))
        found = self._cached(key, handle)
        sample = self._reused(handle, prompt, seed, found) if found else self._fresh(handle, prompt, seed, key)
        self._made.append(_Made(sample=sample, model=handle.name, key=key))
        if handle.name == self.case.model and self._sample is None:
            self._keep(self._made[-1])
        return sample

    def check(self, sample: Sample) -> None:
        """Fail for what is really wrong with a clip.

        Raises:
            BadClip: another frame count or size than the recipe's, or one constant colour.
        """
        where = f"model {self.case.model}" if self.case.model else self._nodeid
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
        scores = self._bench.engine.measure(sample.clip, sample.prompt, reference)
        measurements = scores.measurements + self._pairwise(sample, reference)
        self.record(*measurements)
        if sample is self._sample and any(spec.scope == "set" for spec in self.metrics):
            self._features = f"features/{self._stem}.npz"
            features.save(self._bench.run_folder / self._features, scores.features, scores.identities, scores.absent)
        return measurements

    def _settle_on(self, sample: Sample) -> None:
        """The record is about this sample from now on: its seed, readings and clip."""
        if self._measured is not None and self._measured is not sample:
            raise MeasuredTwice(
                f"a sample was already measured in this test (seed {self._measured.seed}; this one: {sample.seed})",
                where=self._nodeid,
                mend="give each sample a test of its own with --vdb-samples, or look at it with vdb.scores(sample)",
            )
        made = next((made for made in self._made if made.sample is sample), None)
        if made is not None and made.model != self.case.model and self.case.model is not None:
            raise OptionError(
                f"a sample of {made.model!r} is measured in a test of {self.case.model!r}",
                where=self._nodeid,
                mend="look at it with vdb.scores(sample), which records nothing",
            )
        self._measured = sample
        if made is not None and sample is not self._sample:
            self._keep(made)

    def scores(self, sample: Sample, reference: Clip | None = None) -> dict[str, Measurement]:
        """The session's metrics on one sample, by name; not recorded."""
        measured = self._bench.engine.measure(sample.clip, sample.prompt, reference).measurements
        return {measurement.name: measurement for measurement in measured + self._pairwise(sample, reference)}

    def _pairwise(self, sample: Sample, reference: Clip | None) -> tuple[Measurement, ...]:
        """The default's paired metrics, where there is a clip to compare with."""
        if reference is None:
            return ()
        return self._bench.engine_of_pairs.measure(sample.clip, sample.prompt, reference).measurements

    def metrics_that_order(self, degradation: str, *, with_reference: bool = False) -> list[str]:
        """The session's metrics that claim to rank this degradation as a person would.

        A metric that looks through a tiny random network cannot: it is left out. The default's paired metrics are
        among them where the test has a clip to compare with.
        """
        metrics = self.metrics + (self._bench.metrics_of_pairs if with_reference else ())
        able = [spec for spec in metrics if not (spec.backbones and self._bench.engine.tiny)]
        return [name for spec in able if degradation in spec.orders for name in spec.part_names()]

    def record(self, *measurements: Measurement) -> None:
        """Add measurements of your own to the test's record."""
        self._measurements.update({measured.name: measured for measured in measurements})

    def timed_rounds(self, wanted: int) -> int:
        """How often to time a call: once where timings are withheld anyway."""
        return 1 if self._bench.why_timings_are_withheld else wanted

    def record_rounds(self, benchmark: object, *, frames: int) -> None:
        """Record what pytest-benchmark's `benchmark.pedantic` timed: every round is one call of a warm model.

        Args:
            benchmark: the `benchmark` fixture, after its call.
            frames: frames per call, for the throughput.
        """
        stats = getattr(getattr(benchmark, "stats", None), "stats", None)
        rounds = sorted(stats.data) if stats is not None else []
        reason = self._bench.why_timings_are_withheld or (None if rounds else "not measured: --benchmark-disable")
        if reason:
            self.record(*(_missing(f"steady_{name}", unit, better, reason) for name, unit, better in _READINGS))
            return
        middle = statistics.median(rounds)
        spread = (rounds[0], rounds[-1])
        self.record(
            _timing("steady_latency", middle, "s", "lower", len(rounds), spread),
            _timing("steady_throughput", frames / middle, "frames/s", "higher", len(rounds), None),
        )

    def note(self, text: str) -> None:
        """Add a sentence to the test's record."""
        self._notes.append(text)

    # Clips ----------------------------------------------------------------------------------------------------------

    def _cached(self, key: str, handle: ModelHandle) -> CachedClip | None:
        mode = self._bench.options.cache
        found = self._bench.cache.get(key) if mode in {"only-missing", "only-cache"} else None
        if found is None and mode == "only-cache":
            pytest.skip(f"{handle.name}: this clip is not in the cache, and --vdb-cache=only-cache generates nothing")
        return found

    def _reused(self, handle: ModelHandle, prompt: Prompt, seed: int, found: CachedClip) -> Sample:
        """The cached clip: with the readings of this very run, or with the reason why there are none."""
        run = str(found.about.get("run", "an earlier run"))
        sample = Sample(clip=found.clip, prompt=prompt, seed=seed, recipe=handle.recipe)
        if run == self._bench.run_id:  # another test of this run generated it, under the same conditions
            return replace(sample, readings=tuple(from_plain(found.about["readings"], tuple[Measurement, ...])))
        reason = f"not measured: the clip was reused from run {run} (--vdb-cache=always measures anew)"
        missing = tuple(_missing(name, unit, better, reason) for name, unit, better in _READINGS)
        return replace(sample, readings=missing, reused_from=run)

    def _fresh(self, handle: ModelHandle, prompt: Prompt, seed: int, key: str) -> Sample:
        model = handle.load()
        self.record(*self._withheld(tuple(handle.loading)))
        handle.loading.clear()
        try:
            with self._bench.profiler.watch() as readings:
                clip = model.generate(prompt, handle.recipe, seed)
                readings.frames = len(clip.frames)
        except Exception:
            self.record(*readings.memory)  # how much it had taken when it ran out, say
            raise
        measured = self._withheld(readings.measurements)
        if self._bench.options.cache != "never":
            about = {"run": self._bench.run_id, "model": handle.name, "prompt": prompt.id}
            self._bench.cache.put(key, clip, {**about, "readings": to_plain(measured)})
        return Sample(
            clip=clip, prompt=prompt, seed=seed, recipe=handle.recipe, readings=measured, notes=tuple(model.notes)
        )

    def _withheld(self, readings: tuple[Measurement, ...]) -> tuple[Measurement, ...]:
        reason = self._bench.why_timings_are_withheld
        if reason is None:
            return readings
        return tuple(
            _missing(m.name, m.unit, m.better, reason) if m.unit in {"s", "frames/s"} and m.value is not None else m
            for m in readings
        )

    def _keep(self, made: _Made) -> None:
        self._sample = made.sample
        self.record(*made.sample.readings)
        self._files = self._write_previews(made.sample.clip, made.key)

    def _write_previews(self, clip: Clip, key: str) -> ClipFiles:
        """The copies that people watch, in the run's folder; metrics never read them."""
        named = "-".join(slug(part) for part in (self.case.model, self.case.prompt and self.case.prompt.id) if part)
        self._stem = name = f"{named}-{digest([self._nodeid, key], length=8)}"
        folder = self._bench.run_folder / "clips"
        folder.mkdir(parents=True, exist_ok=True)
        video.write_preview(clip, folder / f"{name}.mp4")
        video.write_poster(clip, folder / f"{name}.jpg")
        frames, height, width, _ = clip.frames.shape
        return ClipFiles(
            digest=clip.digest(),
            frames=frames,
            height=height,
            width=width,
            fps=clip.fps,
            lossless=None if self._bench.options.cache == "never" else key,
            preview=f"clips/{name}.mp4",
            poster=f"clips/{name}.jpg",
        )

    # The record -----------------------------------------------------------------------------------------------------

    def to_record(
        self, outcome: str, error: BaseException | None, traceback: str | None, worker: str | None
    ) -> Record | None:
        """Everything this test found out so far, whether it passed or not; None: it is about no model."""
        if self._blank is None:
            return None
        return replace(
            self._blank if self._sample is None else _about_sample(self._blank, self._sample),
            status=_status(outcome, error),
            worker=worker,
            started_at=self._started.isoformat(timespec="milliseconds"),
            duration_s=round(time.perf_counter() - self._clock, 6),
            measurements=tuple(self._measurements.values()),
            clip=self._files,
            features=self._features,
            notes=(*self._notes, *self._notes_of_sample()),
            failure=_failure(error, traceback) if outcome != "passed" else None,
        )

    def _notes_of_sample(self) -> tuple[str, ...]:
        if self._sample is None:
            return ()
        seeds = [str(made.sample.seed) for made in self._made if made.model == self.case.model]
        several = (f"one of {len(seeds)} clips of this test, of the seeds {', '.join(seeds)}",) if seeds[1:] else ()
        return (*self._sample.notes, *several)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A clip that the test asked for."""

    sample: Sample
    model: str
    key: str
    """In the clip cache."""


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


_READINGS: tuple[tuple[str, str, Better], ...] = (("latency", "s", "lower"), ("throughput", "frames/s", "higher"))


def _missing(name: str, unit: str, better: Better, reason: str) -> Measurement:
    return Measurement(name=name, value=None, unit=unit, better=better, kind="performance", reason=reason)


def _timing(
    name: str, value: float, unit: str, better: Better, n: int, interval: tuple[float, float] | None
) -> Measurement:
    return Measurement(name=name, value=value, unit=unit, better=better, kind="performance", n=n, interval=interval)


def _status(outcome: str, error: BaseException | None) -> Status:
    if isinstance(error, LoadFailed):
        return "not_run"
    if error is not None and (isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"):
        return "oom"  # torch's class, by name: this room does not import torch
    return "passed" if outcome == "passed" else "skipped" if outcome == "skipped" else "failed"


def _failure(error: BaseException | None, traceback: str | None) -> Failure:
    kind = "Skipped" if error is None else type(error).__name__
    message = str(error) if error is not None else (traceback or "no reason given")
    return Failure(type=kind, message=message[:2000], traceback=traceback[-8000:] if traceback else None)
