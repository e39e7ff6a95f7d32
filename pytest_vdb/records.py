"""The nouns of a benchmark: frozen, typed, and written as versioned JSON. No torch, no pytest.

Everything that leaves a process (a worker's report, a line of `records.jsonl`, `run.json`) is one of these, encoded by
`to_json` and checked by `from_json`, so a field that is missing or of the wrong type is an error with its path.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import numbers
from array import array
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from operator import attrgetter
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

import msgspec
from msgspec.structs import astuple

from pytest_vdb.budget import MOST_FRAMES
from pytest_vdb.errors import BadClip, NewerSchema, RecipeError, RecordError, UnknownName, near_misses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCHEMA_VERSION = 2
"""The newest that is read: of the lines of a run's records, in which definitions stand once."""
SCHEMA_IN_FULL = 1
"""Of everything that is complete in itself: a record that says all of its definitions, `run.json`, a baseline."""

Task = Literal["t2v", "i2v", "v2v"]
WeightsMode = Literal["hub", "local", "random", "tiny", "none"]
"""Where the weights come from; `none` is for models without any (calibration models, recordings, callables)."""
Better = Literal["higher", "lower", "neutral"]
Kind = Literal["quality", "performance"]
Degradation = Literal["blur", "noise", "frozen", "shuffled", "dropped", "jpeg"]
"""What the calibration does to a good clip, at five severities each."""
DEGRADATIONS: tuple[Degradation, ...] = get_args(Degradation)
Status = Literal["passed", "failed", "xfailed", "skipped", "oom", "crashed", "quarantined", "interrupted", "not_run"]
"""What pytest ended with, and why. `xfailed`: failed as its mark expected; `interrupted`: the session was stopped while
it ran; `not_run`: it never began. A test that passed although its mark expected a failure is `passed`, with a note."""

SCORED = "score-"
"""What the id of a `vdb score` session begins with: it measured clips that existed already."""

OVERALL = "overall"
"""What a leaderboard calls the score that it makes of several metrics, and so none of these."""

LEAST_STD = 0.5
"""Standard deviation, in 8-bit levels, below which a clip counts as one constant colour."""

YARDSTICKS = "calibration-"
"""What the names of models begin with that make clips of known quality: they are ranked among themselves and never beat
a model."""

REAL_WEIGHTS: frozenset[str] = frozenset({"hub", "local", "none"})
"""The weights modes whose pixels mean something: only these enter a quality ranking."""


def digest(value: object, *, length: int = 16) -> str:
    """The first `length` hex digits of the SHA-256 of `value` as canonical JSON: equal on every machine."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:length]


def seed_of(base_seed: int, prompt_id: str, sample_index: int) -> int:
    """The pinned seed of one sample, in [0, 2**31): never of order, worker or time."""
    text = f"{base_seed}/{prompt_id}/{sample_index}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A video in memory.

    Args:
        frames: `uint8 (T, H, W, 3)`, RGB, T >= 1.
        fps: frames per second, > 0.

    Raises:
        BadClip: the frames are of another type or shape, or the rate is not positive.
    """

    frames: NDArray[np.uint8]
    fps: float

    def __post_init__(self) -> None:
        shape, dtype = getattr(self.frames, "shape", None), getattr(self.frames, "dtype", None)
        if shape is None or len(shape) != 4 or shape[-1] != 3 or 0 in shape or str(dtype) != "uint8":
            raise BadClip(
                f"frames of type {dtype} and shape {shape}", mend="a clip is uint8 (T, H, W, 3) with at least one frame"
            )
        rate: Any = self.fps  # whatever a model or a file gave
        is_number = isinstance(rate, numbers.Real) and not isinstance(rate, bool)
        if not (is_number and rate > 0 and math.isfinite(rate)):
            raise BadClip(f"{rate!r} frames per second", mend="give the clip its real frame rate, a number above 0")
        if not isinstance(rate, int | float):  # numpy's numbers and fractions cannot be written as JSON
            object.__setattr__(self, "fps", float(rate))

    @property
    def seconds(self) -> float:
        """How long it plays."""
        return len(self.frames) / self.fps

    def digest(self) -> str:
        """SHA-256 of the pixels and their shape (not of the file they are kept in), 64 hex digits."""
        state = hashlib.sha256(repr(self.frames.shape).encode())
        state.update(self.frames.data if self.frames.flags.c_contiguous else self.frames.tobytes())
        return state.hexdigest()


def pinned_order(prompts: Iterable[str], base_seed: int, suite: str) -> tuple[str, ...]:
    """Ids of prompts in an order that is random, and the same wherever and however often it is asked for.

    Args:
        prompts: ids.
        base_seed: of the session.
        suite: digest of the suite.
    """
    return tuple(sorted(prompts, key=lambda prompt: digest(["order", base_seed, suite, prompt], length=64)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One benchmark input."""

    id: str
    text: str
    category: str = "uncategorised"
    tags: tuple[str, ...] = ()
    negative: str | None = None
    image: str | None = None
    """Path of the conditioning image; None: rendered from the id."""
    video: str | None = None
    """Path of the conditioning clip; None: rendered from the id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A named, versioned list of prompts."""

    name: str
    version: str
    prompts: tuple[Prompt, ...]

    def digest(self) -> str:
        """Changes with every prompt, id and category; not with where the file and its conditioning files lie."""
        return digest(
            [
                [p.id, p.text, p.category, p.negative, *(path and Path(path).name for path in (p.image, p.video))]
                for p in self.prompts
            ]
        )


DTYPES: Mapping[str, str] = {
    "float32": "float32",
    "fp32": "float32",
    "bfloat16": "bfloat16",
    "bf16": "bfloat16",
    "float16": "float16",
    "fp16": "float16",
    "half": "float16",
}
"""Every accepted spelling of a dtype and the one that is recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Every setting that changes pixels or speed. `None` leaves it to the model's card."""

    frames: int | None = None
    height: int | None = None
    width: int | None = None
    fps: float | None = None
    steps: int | None = None
    guidance: float | None = None
    negative_prompt: str | None = None
    strength: float | None = None
    max_sequence_length: int | None = None
    scheduler: str | None = None
    dtype: str | None = None
    weights: WeightsMode | None = None
    offload: Literal["none", "model", "sequential", "group"] | None = None
    vae_tiling: bool | None = None
    vae_slicing: bool | None = None
    attention: str | None = None
    layerwise_casting: str | None = None
    quantization: str | None = None
    compile: Literal["none", "full", "repeated-blocks"] | None = None
    cache: str | None = None
    lora: str | None = None
    lora_scale: float | None = None
    backend: Literal["torch", "onnx"] | None = None
    batch: int | None = None
    """Clips that one timed call makes; None: one."""
    parallel: str | None = None
    """Over how many devices each clip is shared, and how: `ulysses:2,ring:2` are four; None: one."""

    @property
    def clips(self) -> int:
        """How many clips one timed call makes."""
        return self.batch or 1

    @property
    def devices(self) -> int:
        """How many devices share each clip."""
        return math.prod(degrees(self.parallel).values())

    @classmethod
    def parse(cls, settings: list[str], *, where: str = "--vdb-recipe") -> Recipe:
        """`["frames=17", "dtype=bf16"]` -> a recipe; every value is checked against the field's type.

        Raises:
            UnknownName: no such setting.
            RecipeError: a value of the wrong type, or no `=`.
        """
        values: dict[str, str] = {}
        known = [f.name for f in dataclasses.fields(cls)]
        for setting in settings:
            key, equals, value = setting.partition("=")
            key = key.strip().replace("-", "_")
            if not equals:
                raise RecipeError(f"{setting!r} has no '='", where=where, mend="write KEY=VALUE, e.g. frames=17")
            if key not in known:
                raise UnknownName("recipe setting", key, known, where=where, mend=f"Known: {', '.join(known)}.")
            values[key] = value.strip()
            _check_choice(key, values[key], where)
        try:
            recipe = msgspec.convert(values, cls, strict=False)
        except msgspec.ValidationError as error:
            raise RecipeError(_message_of(error), where=where, mend="give a value of the setting's type") from None
        for name, value in recipe.settings().items():
            least, most = _RANGES.get(name, (-math.inf, math.inf))
            if isinstance(value, int | float) and not (least <= value <= most and math.isfinite(value)):
                raise RecipeError(f"{name}={value}", where=where, mend=_range_in_words(name, least, most))
        degrees(recipe.parallel, where=where)
        return recipe

    def settings(self) -> dict[str, Any]:
        """Only what is set, by name."""
        return {f.name: v for f in dataclasses.fields(self) if (v := getattr(self, f.name)) is not None}

    def over(self, defaults: Recipe) -> Recipe:
        """This recipe, with `defaults` wherever it says nothing."""
        return dataclasses.replace(defaults, **self.settings())

    def spelt_as_recorded(self) -> Recipe:
        """The same with the recorded spelling of dtype and parallel; what nobody knows stays as it is."""
        parallel = self.parallel
        with contextlib.suppress(RecipeError):
            parallel = _spelt(degrees(parallel))
        return dataclasses.replace(self, dtype=DTYPES.get(self.dtype or "", self.dtype), parallel=parallel)

    def digest(self) -> str:
        """Names the recipe in every identity. Unset fields do not count, so a new switch changes no old digest."""
        return digest(self.settings())


OF_THE_CALL = frozenset(
    {
        *("frames", "height", "width", "fps", "steps", "guidance", "negative_prompt", "strength"),
        *("max_sequence_length", "batch"),
    }
)
"""Settings that a loaded model follows from call to call; for any other one it is loaded anew."""

PARALLELISMS = ("ulysses", "ring")
"""How the tokens of one clip are shared: each device attends to some heads (arXiv 2309.14509), or the keys go round
(arXiv 2310.01889)."""
MOST_DEVICES = 64


def degrees(parallel: str | None, *, where: str | None = None) -> dict[str, int]:
    """`ring:2,ulysses:4` -> `{"ulysses": 4, "ring": 2}`, without what is 1. A `+` is as good as the comma.

    Raises:
        RecipeError: it is written in another way, or asks for more devices than a machine has.
    """
    found: dict[str, int] = {}
    for part in filter(None, str(parallel or "").replace("+", ",").split(",")):
        kind, _, degree = (word.strip() for word in part.partition(":"))
        if kind not in PARALLELISMS or kind in found or not degree.isdecimal() or int(degree) < 1:
            mend = "write ulysses:2, ring:2, or ulysses:2,ring:2 for four devices"
            raise RecipeError(f"parallel={parallel}", where=where, mend=mend)
        found[kind] = int(degree)
    if math.prod(found.values()) > MOST_DEVICES:
        mend = f"all devices are of one machine: {MOST_DEVICES} at most"
        raise RecipeError(f"parallel={parallel}", where=where, mend=mend)
    return {kind: found[kind] for kind in PARALLELISMS if found.get(kind, 1) > 1}


def _spelt(of: Mapping[str, int]) -> str | None:
    return ",".join(f"{kind}:{degree}" for kind, degree in of.items()) or None


_LEAST = 1e-3
_RANGES: Mapping[str, tuple[float, float]] = {
    "frames": (1, MOST_FRAMES),
    "height": (1, 2**16),
    "width": (1, 2**16),
    "fps": (_LEAST, 1e6),
    "steps": (1, 1e5),
    "strength": (_LEAST, 1),
    "max_sequence_length": (1, 2**20),
    "batch": (1, 2**12),
}
"""Setting of a recipe -> the least and the most that any model could follow."""


def _range_in_words(name: str, least: float, most: float) -> str:
    if math.isinf(most):
        return f"{name} must be a finite number"
    return f"{name} must be a positive number, from {least:g} to {most:g}"


def _check_choice(name: str, value: str, where: str) -> None:
    """Refuse a value that is none of those a setting has, with the near misses."""
    options = [get_args(option) for option in get_args(get_type_hints(Recipe)[name]) if get_origin(option) is Literal]
    choices = [choice for option in options for choice in option]
    if choices and value not in choices:
        near = near_misses(value, choices)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise RecipeError(f"unknown {name} {value!r}", where=where, mend=f"{hint}One of: {', '.join(choices)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One number with its unit and direction, or `None` and the reason why there is none."""

    name: str
    value: float | None
    unit: str
    better: Better
    kind: Kind = "quality"
    reason: str | None = None
    n: int = 1
    interval: tuple[float, float] | None = None
    version: str = "1"
    """Changes when the definition changes; two versions are never compared."""
    wiring: bool = False
    """Computed by random weights: it proves the wiring and is never ranked or gated."""
    series: tuple[float, ...] | None = None
    """The value of each frame (or pair of frames), where the metric has one."""

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "reason", f"the result was {self.value}, not a finite number")
            object.__setattr__(self, "value", None)
        # JSON has no word for infinity: the record could not be read again.
        if self.interval is not None and not all(map(math.isfinite, self.interval)):
            object.__setattr__(self, "interval", None)
        if self.series is not None and not all(map(math.isfinite, self.series)):
            object.__setattr__(self, "series", None)
        if self.value is None and not self.reason:
            raise RecordError(
                f"measurement {self.name!r} has neither a value nor a reason", mend="say why it is missing"
            )

    def is_better_than(self, other: Measurement) -> bool:
        """Strictly better, in this metric's direction. False where either value is missing or neither way is better."""
        if self.value is None or other.value is None or self.better == "neutral":
            return False
        return self.value > other.value if self.better == "higher" else self.value < other.value


class Definition(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the measurements of one metric have in common, in however many records; written once for all of them."""

    name: str
    unit: str
    better: Better
    kind: Kind = "quality"
    version: str = "1"
    wiring: bool = False

    @classmethod
    def of(cls, measured: Measurement) -> Definition:
        """What it has in common with others."""
        return cls(measured.name, measured.unit, measured.better, measured.kind, measured.version, measured.wiring)

    def valued(self, value: float) -> Measurement:
        """A measurement with nothing but a value, which is finite: nothing is checked."""
        name, unit, better, kind, version, wiring = astuple(self)
        said = name, value, unit, better, kind, None, 1, None, version, wiring, None
        one = Measurement.__new__(Measurement)
        for put, part in zip(_PUT_MEASUREMENT, said, strict=True):
            put(one, part)
        return one


_PUT_MEASUREMENT = tuple(vars(Measurement)[part.name].__set__ for part in dataclasses.fields(Measurement))
"""Fills a field of one that is being made: its own constructor, which is frozen, takes four times as long."""


class Metrics:
    """The definitions of what a test measured, in its order: one object for all records that measured the same."""

    __slots__ = ("definitions", "places")

    def __init__(self, definitions: tuple[Definition, ...]) -> None:
        self.definitions = definitions
        self.places: dict[str, int] = {}
        """By name; of two of one name the first."""
        for at, definition in enumerate(definitions):
            self.places.setdefault(definition.name, at)

    @staticmethod
    @lru_cache(maxsize=4096)
    def of(definitions: tuple[Definition, ...]) -> Metrics:
        """The same object for the same definitions."""
        return Metrics(definitions)


_MEASUREMENTS = attrgetter("measurements")
"""Asked of hundreds of thousands of records."""


class Measured(Sequence[Measurement]):
    """Measurements as they are kept: numbers in an array, definitions shared; each is an object when it is asked for.

    As good as the tuple of these objects, to which it is equal, in a tenth of the memory.

    Args:
        metrics: what the numbers are of.
        numbers: one of each; nan where there is no value.
        special: by place the whole measurements that have more to say than a value: a reason, an interval, a series.
    """

    __slots__ = ("metrics", "numbers", "special")

    def __init__(self, metrics: Metrics, numbers: array[float], special: Mapping[int, Measurement]) -> None:
        self.metrics = metrics
        self.numbers = numbers
        self.special = special

    @classmethod
    def of(cls, measurements: Measurements) -> Measured:
        """The same measurements, kept so."""
        if isinstance(measurements, cls):
            return measurements
        metrics = Metrics.of(tuple(map(Definition.of, measurements)))
        numbers = array("d", [math.nan if m.value is None else m.value for m in measurements])
        return cls(
            metrics, numbers, {at: m for at, m in enumerate(measurements) if not _is_value_alone(m)} or NOTHING_SPECIAL
        )

    @classmethod
    def of_all(cls, records: Iterable[Record]) -> list[Measured]:
        """What each of many measured, kept so."""
        every = map(_MEASUREMENTS, records)
        return [one if isinstance(one, cls) else cls.of(one) for one in every]

    def named(self, name: str) -> Measurement | None:
        """The first of that name, if there is one."""
        at = self.metrics.places.get(name)
        return None if at is None else self._at(at)

    def _at(self, at: int) -> Measurement:
        special = self.special.get(at)
        return self.metrics.definitions[at].valued(self.numbers[at]) if special is None else special

    @overload
    def __getitem__(self, at: int) -> Measurement: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Measurement, ...]: ...
    def __getitem__(self, at: int | slice) -> Measurement | tuple[Measurement, ...]:
        places = range(len(self.numbers))[at]
        return self._at(places) if isinstance(places, int) else tuple(map(self._at, places))

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[Measurement]:
        return map(self._at, range(len(self.numbers)))

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, tuple | Measured) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


NOTHING_SPECIAL: Mapping[int, Measurement] = {}
"""Of measurements that are values alone."""

if TYPE_CHECKING:
    Measurements = Sequence[Measurement]
else:  # as a line that is complete in itself has them
    Measurements = tuple[Measurement, ...]


def _is_value_alone(measured: Measurement) -> bool:
    """Whether its definition and its value say everything."""
    said = measured.reason, measured.interval, measured.series
    return measured.value is not None and said == (None, None, None) and measured.n == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one generation produced."""

    clip: Clip
    prompt: Prompt
    seed: int
    recipe: Recipe
    """The recipe that was followed, every default filled in."""
    readings: tuple[Measurement, ...] = ()
    """What the profiler read while it was made."""
    reused_from: str | None = None
    """The run that made the clip, when it came from the cache."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFiles:
    """Where a record's clip lies: what metrics read and what people watch."""

    digest: str
    frames: int
    height: int
    width: int
    fps: float
    lossless: str | None = None
    """Name in the clip cache."""
    preview: str | None = None
    """H.264 copy, relative to the run's folder."""
    poster: str | None = None
    """One frame as a JPEG, relative to the run's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a test did not pass."""

    type: str
    message: str
    traceback: str | None = None


PairKey = tuple[str | None, int | None, tuple[tuple[str, str], ...]]
"""A prompt, its seed and the test's parameters: what is the same in two runs that are compared."""

DECIDED = "decided"
"""Type of the "failure" of a test that was skipped because it could not change any verdict of a gate any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One test's result: one line of `records.jsonl`."""

    run: str
    nodeid: str
    benchmark: str
    """File, class and function of the test, as pytest names them: records of different benchmarks are never averaged
    together, and two files may each have a `test_generation`. `benchmark_name` is the function alone."""
    model: str
    status: Status
    parameters: dict[str, str] = field(default_factory=dict)
    """The test's own parameters, by name, besides model, prompt and sample: part of its identity."""
    attempts: int = 1
    """How often the test was tried, where a plugin tries failed tests again; the values are the last try's."""
    prompt: str | None = None
    prompt_text: str | None = None
    category: str | None = None
    sample_index: int = 0
    seed: int | None = None
    task: Task | None = None
    weights: WeightsMode | None = None
    revision: str | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    recipe_digest: str | None = None
    suite: str | None = None
    suite_digest: str | None = None
    hardware: str | None = None
    environment: str | None = None
    worker: str | None = None
    started_at: str | None = None
    duration_s: float | None = None
    measurements: Measurements = ()
    clip: ClipFiles | None = None
    features: str | None = None
    """What the metrics' networks saw in the clip, relative to the run's folder."""
    published: str | None = None
    """Where others published the values: nothing was measured here, and nothing is ranked."""
    reused_from: str | None = None
    notes: tuple[str, ...] = ()
    failure: Failure | None = None
    schema: int = SCHEMA_IN_FULL

    @property
    def benchmark_name(self) -> str:
        """The test function's name, without its file and class."""
        return self.benchmark.rpartition("::")[2]

    @property
    def pair(self) -> PairKey:
        """What two runs are compared on."""
        return self.prompt, self.seed, tuple(sorted(self.parameters.items())) if self.parameters else ()

    @property
    def is_spared(self) -> bool:
        """Whether it was skipped because its gate was decided."""
        return self.status == "skipped" and self.failure is not None and self.failure.type == DECIDED

    def measurement(self, name: str) -> Measurement | None:
        """The measurement of that name, if the test made one."""
        if isinstance(self.measurements, Measured):
            return self.measurements.named(name)
        return next((m for m in self.measurements if m.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One graphics card."""

    name: str
    uuid: str | None = None
    memory_mib: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a run happened."""

    python: str
    platform: str
    hardware: str
    """The device the models ran on, as a key for comparisons, e.g. `NVIDIA H100 80GB HBM3`."""
    cpu: str
    cpu_count: int
    memory_mib: int
    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda: str | None = None
    packages: dict[str, str] = field(default_factory=dict)
    git_commit: str | None = None
    git_dirty: bool | None = None
    git_branch: str | None = None

    def digest(self) -> str:
        """Of everything that could change pixels or speed (not of the git commit)."""
        plain = msgspec.to_builtins(self)
        return digest({key: value for key, value in plain.items() if not key.startswith("git_")})


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a run keeps of a model's card: what people choose a model by besides its figures."""

    family: str | None = None
    licence: str | None = None
    """Of the weights; None: nobody read one."""
    repository: str | None = None
    pipeline: str | None = None
    """Class name in diffusers; None: it has none."""
    parameters: float | None = None
    """Of the denoiser, in billions."""
    download_gb: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One session: `run.json`."""

    id: str
    started_at: str
    environment: Environment
    options: dict[str, Any] = field(default_factory=dict)
    recipes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Recipe digest -> settings, for every recipe that was used."""
    suites: dict[str, str] = field(default_factory=dict)
    """`name@version` -> digest."""
    bounds: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    """Measurement -> the lowest and the highest value that there can be, of the user's own metrics that say so."""
    collected: int | None = None
    """Benchmarks that were collected: a run with fewer records was stopped before its end."""
    order: tuple[str, ...] = ()
    """Prompts in the pinned random order in which every model answered them, where a gate was allowed to stop early:
    such a run is judged by tests that allow for it. Empty: in the suite's order, to the end."""
    models: dict[str, CardFacts] = field(default_factory=dict)
    """Model -> what its card says, as far as a card says any of it."""
    finished_at: str | None = None
    exit_status: int | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA_IN_FULL


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What later runs are compared with: an earlier run and its records, read from the run or from its small JSON."""

    run: Run
    records: tuple[Record, ...]
    warnings: tuple[str, ...] = ()
    """What could not be read, e.g. a torn last line."""
    history: tuple[Baseline, ...] = ()
    """Earlier runs, the newest first: how much sessions differ where nothing has changed."""
    folder: Path | None = None
    """The run's own, where features lie; None: a summary of it, which has none."""


T = TypeVar("T")


def to_json(record: object) -> str:
    """One line of JSON. Unset fields are written too: a reader need not know the defaults.

    A file name that is not UTF-8 is spelled out, `\\udce9` for a byte: JSON has no other word for it.
    """
    try:
        return msgspec.json.encode(record, enc_hook=_as_builtins).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(_spelled_out(to_plain(record))).decode()


@cache
def _decoder_of(kind: Any) -> Any:
    return msgspec.json.Decoder(kind)


def from_json(line: str | bytes, kind: type[T], *, where: str | Path | None = None) -> T:
    """Read and check what is complete in itself.

    Raises:
        RecordError: not JSON, a field that is missing or of the wrong type (with its path), or a newer schema.
    """
    with contextlib.suppress(ValueError, RecursionError, RecordError):  # what is as it should be is read in one step
        record: T = _decoder_of(cast("Hashable", kind)).decode(line)
        if getattr(record, "schema", SCHEMA_IN_FULL + 1) <= SCHEMA_IN_FULL:
            return record
    try:
        head = msgspec.json.decode(line)
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested beyond reason
        raise RecordError(f"not JSON: {error}", where=where, mend="the file is torn or not one of ours") from None
    NewerSchema.refuse(head.get("schema") if isinstance(head, dict) else None, SCHEMA_IN_FULL, where=where)
    try:
        return msgspec.convert(head, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise RecordError(f"not a {kind.__name__}: {_message_of(error)}", where=where) from None
    except RecordError as error:  # from a part's own check, which knows no file
        raise RecordError(f"not a {kind.__name__}: {error.what}", where=where) from None


def _spelled_out(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_spelled_out(key): _spelled_out(one) for key, one in value.items()}
    return [_spelled_out(one) for one in value] if isinstance(value, list) else value


def read_record(line: str | bytes, *, where: str | Path | None = None) -> Record:
    """A record that another version may have written: an outcome unknown here stays as it stands, and is no pass.

    Raises:
        RecordError: see `from_json`.
    """
    try:
        return from_json(line, Record, where=where)
    except NewerSchema:
        raise
    except RecordError:
        status = _status_of_another_version(line)
        if status is None:
            raise
    plain = {**msgspec.json.decode(line), "status": "failed"}
    return replace(from_json(msgspec.json.encode(plain), Record, where=where), status=cast(Status, status))


def _status_of_another_version(line: str | bytes) -> str | None:
    try:
        plain = msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return None
    status = plain.get("status") if isinstance(plain, dict) else None
    return status if isinstance(status, str) and status and status not in get_args(Status) else None


def to_plain(record: object) -> Any:
    """As dicts, lists, strings and numbers: a part of a larger JSON document."""
    return msgspec.to_builtins(record, enc_hook=_as_builtins)


def _as_builtins(value: object) -> object:
    """What msgspec does not know, as what it knows."""
    if isinstance(value, Measured):
        return tuple(value)
    raise NotImplementedError(f"no word for {type(value)}")  # as msgspec asks of a hook for what it does not know


def from_plain(value: object, kind: type[T], *, where: str | Path | None = None) -> T:
    """Read and check what `to_plain` made.

    Raises:
        RecordError: a field that is missing or of the wrong type.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise RecordError(f"not a {kind.__name__}: {_message_of(error)}", where=where) from None


def _message_of(error: Exception) -> str:
    """msgspec's message with its JSON path, as prose."""
    return str(error).replace(" - at `$", " at `").replace("`.", "`")
