"""The lines of `records.jsonl` in schema 2: what many records share is said once, before the first one that needs it.

A definition has a name, by which the records after it call it: a setup (everything that the tests of a model share), a
question (a prompt with its sample and seed), or metrics (names, units and directions, in the order of the values). A
name follows from the content, so that files may be put one behind the other; where two contents had one name all the
same, the last one before a record counts. Schema 1, in which every record says everything, may stand in the same file;
small sessions write it.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
from array import array
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from functools import cache
from math import nan
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec
from msgspec import Struct

from pytest_vdb import files
from pytest_vdb.errors import DefinitionMissing, NewerSchema, RecordError
from pytest_vdb.records import (
    NOTHING_SPECIAL,
    SCHEMA_IN_FULL,
    SCHEMA_VERSION,
    ClipFiles,
    Definition,
    Failure,
    Measured,
    Measurement,
    Metrics,
    Record,
    Task,
    WeightsMode,
    from_json,
    read_record,
    to_json,
)

if TYPE_CHECKING:
    from pathlib import Path

_NAME = 8
"""Hex digits of a definition's name, or more where another one has these already."""


class _Setup(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Of all tests of a model in a benchmark."""

    run: str
    benchmark: str
    model: str
    parameters: dict[str, str] = {}
    task: Task | None = None
    weights: WeightsMode | None = None
    revision: str | None = None
    recipe: dict[str, Any] = {}
    recipe_digest: str | None = None
    suite: str | None = None
    suite_digest: str | None = None
    hardware: str | None = None
    environment: str | None = None
    published: str | None = None


class _Question(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What models are asked."""

    prompt: str | None = None
    prompt_text: str | None = None
    category: str | None = None
    sample_index: int = 0
    seed: int | None = None


class _Special(Struct, frozen=True, omit_defaults=True, gc=False):
    """Of a measurement that has more to say than its value, everything that is its own."""

    value: float | None = None
    reason: str | None = None
    n: int = 1
    interval: tuple[float, float] | None = None
    series: tuple[float, ...] | None = None


class _Files(Struct, frozen=True, array_like=True, gc=False):
    """As `ClipFiles`; a poster that begins with a dot is called as the preview but for that ending."""

    digest: str
    frames: int
    height: int
    width: int
    fps: float
    lossless: str | None = None
    preview: str | None = None
    poster: str | None = None


class _DefinitionLine(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A line that defines one thing."""

    schema: int
    define: str
    setup: _Setup | None = None
    question: _Question | None = None
    metrics: tuple[Definition, ...] | None = None


class _RecordLine(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A line that is a record; read by the million, and gone at once."""

    schema: int
    setup: str
    question: str
    metrics: str
    nodeid: str
    status: str
    attempts: int = 1
    worker: str | None = None
    started_at: str | None = None
    duration_s: float | None = None
    features: str | None = None
    reused_from: str | None = None
    notes: tuple[str, ...] = ()
    failure: Failure | None = None
    values: list[float | str | _Special] = []
    """A number; a text, which says why there is none; or more."""
    clip: _Files | None = None


class _Head(Struct, frozen=True):
    """Enough of any line to tell what it is."""

    schema: int
    define: str | None = None


class _OfModel(Struct, frozen=True):
    model: str


class _DefinitionOfModel(Struct, frozen=True):
    setup: _OfModel | None = None


class _Glimpsed(Struct, frozen=True):
    schema: int
    setup: str
    nodeid: str
    status: str


class Glimpse(Struct, frozen=True):
    """What little is read of a record that is not asked for: a fiftieth of the time."""

    nodeid: str
    model: str
    status: str
    schema: int


_RECORD_BEGINS = f'{{"schema":{SCHEMA_VERSION},"setup":'.encode()
_DEFINITION_BEGINS = f'{{"schema":{SCHEMA_VERSION},"define":'.encode()
"""How a line begins that is written here; others may have their own order of keys."""


def models_told(path: Path) -> frozenset[str]:
    """The models of a file of records, as its definitions tell them: at a glance, and not of lines that another program
    wrote in its own order, nor of those that are complete in themselves.

    Raises:
        RecordError: the file cannot be read, or a definition is none.
    """
    told = msgspec.json.Decoder(_DefinitionOfModel)
    found = set()
    for line in files.lines_beginning(_DEFINITION_BEGINS, path, error=RecordError):
        try:
            setup = told.decode(line).setup
        except ValueError as problem:
            raise RecordError(f"not a definition: {problem}", where=path) from None
        if setup is not None:
            found.add(setup.model)
    return frozenset(found)


# Writing ------------------------------------------------------------------------------------------------------------


class Told(NamedTuple):
    """A record as lines."""

    definitions: Mapping[bytes, tuple[str, bytes]]
    """Those that nobody has been told yet: content -> name and line."""
    line: bytes

    @property
    def whole(self) -> bytes:
        """All lines, without the last line break."""
        return b"\n".join([*(line for _, line in self.definitions.values()), self.line])


class Teller:
    """Puts records into lines, each definition once.

    Args:
        in_full: there are no definitions: every line is a record of schema 1, which any program can read by itself.
    """

    def __init__(self, *, in_full: bool = False) -> None:
        self._in_full = in_full
        self._names: dict[bytes, str] = {}
        """Content -> name, of what was told."""
        self._taken: set[str] = set()
        self._plain: dict[Metrics, bytes] = {}
        """Content of each definition of metrics, which is by far the longest, and one object for many records."""

    def told(self, record: Record) -> Told:
        """The lines of a record; its new definitions are new until they are `kept`."""
        if self._in_full:
            return Told({}, to_json(record).encode())
        try:
            return self._told(record)
        except UnicodeEncodeError:  # half a character: as it is spelled in schema 1
            return self._told(from_json(to_json(record), Record))

    def kept(self, told: Told) -> None:
        """These lines are in the file."""
        self._names |= {content: name for content, (name, _) in told.definitions.items()}
        self._taken |= {name for name, _ in told.definitions.values()}

    def _told(self, record: Record) -> Told:
        measured = Measured.of(record.measurements)
        setup = _Setup(**{name: getattr(record, name) for name in _Setup.__struct_fields__})
        question = _Question(**{name: getattr(record, name) for name in _Question.__struct_fields__})
        new: dict[bytes, tuple[str, bytes]] = {}
        line = _RecordLine(
            schema=SCHEMA_VERSION,
            setup=self._name_of(new, setup=setup),
            question=self._name_of(new, question=question),
            metrics=self._name_of(new, self._content_of(measured.metrics), metrics=measured.metrics.definitions),
            values=_as_values(measured),
            clip=None if record.clip is None else _as_files(record.clip),
            **{name: getattr(record, name) for name in _OWN},
        )
        return Told(new, msgspec.json.encode(line))

    def _content_of(self, metrics: Metrics) -> bytes:
        plain = self._plain.get(metrics)
        if plain is None:
            plain = self._plain[metrics] = msgspec.json.encode({"metrics": metrics.definitions})
        return plain

    def _name_of(self, new: dict[bytes, tuple[str, bytes]], plain: bytes | None = None, **content: Any) -> str:
        """Of a definition, which is put to the new ones if nobody has been told it."""
        plain = plain or msgspec.json.encode(content)
        if (known := self._names.get(plain)) is not None:
            return known
        beside = {name for name, _ in new.values()}
        every = hashlib.sha256(plain).hexdigest()
        names = (every[:length] for length in range(_NAME, len(every)))
        name = next((one for one in names if one not in self._taken and one not in beside), every)
        new[plain] = name, msgspec.json.encode(_DefinitionLine(schema=SCHEMA_VERSION, define=name, **content))
        return name


def _as_values(measured: Measured) -> list[float | str | _Special]:
    values: list[float | str | _Special] = [*measured.numbers]
    for at, special in measured.special.items():
        values[at] = _as_value(special)
    return values


def _as_value(special: Measurement) -> str | _Special:
    own = _Special(special.value, special.reason, special.n, special.interval, special.series)
    return special.reason if special.reason is not None and own == _Special(reason=special.reason) else own


def _as_files(clip: ClipFiles) -> _Files:
    poster, stem = clip.poster, (clip.preview or "").rpartition(".")[0]
    if poster is not None and stem and poster.rpartition(".")[0] == stem:
        poster = poster.removeprefix(stem)
    return _Files(clip.digest, clip.frames, clip.height, clip.width, clip.fps, clip.lossless, clip.preview, poster)


# Reading ------------------------------------------------------------------------------------------------------------

_OWN = tuple(_RecordLine.__struct_fields__[4:-2])
"""Fields of a record that are written as they stand: all but the schema, the definitions' names, values and clip."""


class _RecordInTheMaking:
    """Becomes a record when its fields are filled: those of a frozen one would take four times as long to fill."""

    __slots__ = Record.__slots__


class _ClipInTheMaking:
    """Likewise."""

    __slots__ = ClipFiles.__slots__


class Listener:
    """Makes records of lines, in the order in which they stand in their file.

    Args:
        models: whose records are asked for; None: everyone's.
    """

    def __init__(self, models: Container[str] | None = None) -> None:
        self._models = models
        self._setups: dict[str, _Setup] = {}
        self._others: dict[str, str] = {}
        """Setups of models that are not asked for, and their models."""
        self._questions: dict[str, _Question] = {}
        self._metrics: dict[str, Metrics] = {}
        self._line = msgspec.json.Decoder(_RecordLine)
        self._define = msgspec.json.Decoder(_DefinitionLine)
        self._head = msgspec.json.Decoder(_Head)
        self._glimpsed = msgspec.json.Decoder(_Glimpsed)
        self._glimpse = msgspec.json.Decoder(Glimpse)

    def heard(self, line: bytes) -> Record | Glimpse | None:
        """What a line says; None: it defines something.

        Raises:
            RecordError: it is no line of a file of records.
            DefinitionMissing: no line before it defines what it needs.
            NewerSchema: a newer pytest-vdb wrote it.
        """
        try:
            if line.startswith(_RECORD_BEGINS):
                return self._told_of(line)
            if not line.startswith(_DEFINITION_BEGINS):
                return self._of_any_order(line)
            self._learn(line)
            return None
        except msgspec.ValidationError as error:
            raise RecordError(f"not a Record: {error}") from None
        except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested beyond reason
            raise RecordError(f"not JSON: {error}") from None

    def _of_any_order(self, line: bytes) -> Record | Glimpse | None:
        """A line that another program wrote, or one that is complete in itself."""
        head = None
        with contextlib.suppress(ValueError, RecursionError):  # then it is told as a record that it is not
            head = self._head.decode(line)
        if head is None or head.schema <= SCHEMA_IN_FULL:
            return self._complete(line)
        NewerSchema.refuse(head.schema, SCHEMA_VERSION, where=None)
        if head.define is None:
            return self._told_of(line)
        self._learn(line)
        return None

    def _complete(self, line: bytes) -> Record | Glimpse:
        if self._models is not None:
            with contextlib.suppress(ValueError, RecursionError):
                other = self._glimpse.decode(line)
                if other.model not in self._models:
                    return other
        record = read_record(line)
        object.__setattr__(record, "measurements", Measured.of(record.measurements))  # nobody else has seen it yet
        return record

    def _learn(self, line: bytes) -> None:
        """Keep a definition."""
        told = self._define.decode(line)
        if told.setup is not None:
            self._setups.pop(told.define, None)
            self._others.pop(told.define, None)
            if self._models is None or told.setup.model in self._models:
                self._setups[told.define] = told.setup
            else:
                self._others[told.define] = told.setup.model
        if told.question is not None:
            self._questions[told.define] = told.question
        if told.metrics is not None:
            self._metrics[told.define] = Metrics.of(told.metrics)

    def _told_of(self, line: bytes) -> Record | Glimpse:
        if self._others:
            other = self._glimpsed.decode(line)
            if (model := self._others.get(other.setup)) is not None:
                return Glimpse(nodeid=other.nodeid, model=model, status=other.status, schema=other.schema)
        own = self._line.decode(line)
        if not own.status:
            raise RecordError("not a Record: its status is empty")
        try:
            setup, question = self._setups[own.setup], self._questions[own.question]
            metrics = self._metrics[own.metrics]
        except KeyError:
            raise self._missing(own) from None
        return _record_of_line(own, setup, question, metrics)

    def _missing(self, own: _RecordLine) -> DefinitionMissing:
        before: dict[str, Mapping[str, object]] = {"setup": self._setups, "question": self._questions}
        what = next((kind for kind, names in before.items() if getattr(own, kind) not in names), "metrics")
        return DefinitionMissing(
            f"it needs the {what} {getattr(own, what)!r}, and no line before it defines that: the line that did is "
            "damaged or gone",
            mend="restore the file; or take out the lines that name it, and what is left can be read",
        )


def _record_of_line(own: _RecordLine, setup: _Setup, question: _Question, metrics: Metrics) -> Record:
    """Raises RecordError where there are more or fewer values than metrics."""
    record: Any = _RecordInTheMaking()
    record.run = setup.run
    record.benchmark = setup.benchmark
    record.model = setup.model
    record.parameters = setup.parameters
    record.task = setup.task
    record.weights = setup.weights
    record.revision = setup.revision
    record.recipe = setup.recipe
    record.recipe_digest = setup.recipe_digest
    record.suite = setup.suite
    record.suite_digest = setup.suite_digest
    record.hardware = setup.hardware
    record.environment = setup.environment
    record.published = setup.published
    record.prompt = question.prompt
    record.prompt_text = question.prompt_text
    record.category = question.category
    record.sample_index = question.sample_index
    record.seed = question.seed
    record.nodeid = own.nodeid
    record.status = intern(own.status)
    record.attempts = own.attempts
    record.worker = None if own.worker is None else intern(own.worker)  # one object for all records that say so
    record.started_at = own.started_at
    record.duration_s = own.duration_s
    record.features = own.features
    record.reused_from = own.reused_from
    record.notes = own.notes
    record.failure = own.failure
    record.measurements = _values_of_line(metrics, own.values)
    record.clip = None if own.clip is None else _clip_of(own.clip)
    record.schema = SCHEMA_IN_FULL
    record.__class__ = Record
    made: Record = record
    return made


def _values_of_line(metrics: Metrics, values: Sequence[float | str | _Special]) -> Measured:
    """Raises RecordError where there are more or fewer values than metrics."""
    if len(values) != len(metrics.definitions):
        raise RecordError(f"not a Record: {len(values)} values of {len(metrics.definitions)} metrics")
    try:
        return Measured(metrics, array("d", _packer(len(values)).pack(*values)), NOTHING_SPECIAL)
    except struct.error:  # not every one is a number
        special = {
            at: _special_measurement(metrics.definitions[at], value)
            for at, value in enumerate(values)
            if not isinstance(value, float)
        }
        numbers = (special[at].value if at in special else value for at, value in enumerate(values))
        return Measured(metrics, array("d", [nan if one is None else cast(float, one) for one in numbers]), special)


@cache
def _packer(length: int) -> struct.Struct:
    """Of so many numbers: in a third of the time that an array takes to be made of a list."""
    return struct.Struct(f"{length}d")


def _special_measurement(definition: Definition, value: float | str | _Special) -> Measurement:
    own = value if isinstance(value, _Special) else _Special(reason=str(value))
    return replace(
        definition.valued(0.0), value=own.value, reason=own.reason, n=own.n, interval=own.interval, series=own.series
    )


def _clip_of(own: _Files) -> ClipFiles:
    preview, poster = own.preview, own.poster
    if poster is not None and preview is not None and poster.startswith("."):
        poster = preview.rpartition(".")[0] + poster
    clip: Any = _ClipInTheMaking()
    clip.digest = own.digest
    clip.frames = own.frames
    clip.height = own.height
    clip.width = own.width
    clip.fps = own.fps
    clip.lossless = own.lossless
    clip.preview = preview
    clip.poster = poster
    clip.__class__ = ClipFiles
    made: ClipFiles = clip
    return made
