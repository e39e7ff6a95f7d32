"""VBench's result files, `NAME_eval_results.json`: each dimension's mean and its value per video, read and written.

Source: `VBench.evaluate` at 45e79ec: `{dimension: [mean, [{"video_path": ..., "video_results": ...}]]}`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from math import isfinite
from operator import add
from pathlib import Path, PurePath

import msgspec

from pytest_vdb import files
from pytest_vdb.errors import RecordError
from pytest_vdb.records import Environment, Measurement, Record, Run
from pytest_vdb.results.dimensions import IN_PERCENT, Dimension, Unlike, dimension_of, in_words

FAMILY = "vbench."
"""What our names of VBench's dimensions begin with."""

SUFFIX = "_eval_results.json"
UNKNOWN = "unknown"


def render(dimensions: Mapping[str, Dimension]) -> str:
    """The text of a file that VBench's own tools read.

    Args:
        dimensions: by VBench's names, without `vbench.`.
    """
    parts = []
    for name, found in dimensions.items():
        inner = f"        {_json_of(found.mean)},\n        {_videos_as_json(name, found)}"
        parts.append(f"    {_json_of(name)}: [\n{inner}\n    ]")
    return "{\n" + ",\n".join(parts) + "\n}\n" if parts else "{}\n"


def _videos_as_json(name: str, found: Dimension) -> str:
    """As `json.dumps` indents them, in a tenth of its time: a run may have a million."""
    if not found.videos:
        return "[]"
    paths, values = zip(*found.videos, strict=True)
    if name in IN_PERCENT:
        values = tuple(100 * value for value in values)
    entries = map(add, map(_video_as_json, paths), _figures_as_json(values))
    end = "\n            }"
    return "[\n" + f"{end},\n".join(entries) + f"{end}\n        ]"


def _figures_as_json(values: Sequence[float]) -> list[str]:
    """As `json.dumps` writes them. Where it needs no exponent msgspec writes the same, in a tenth of the time."""
    sizes = [size for size in map(abs, values) if size]
    if _WITHOUT_EXPONENT[0] <= min(sizes, default=1.0) and max(sizes, default=1.0) < _WITHOUT_EXPONENT[1]:
        return msgspec.json.encode(values).decode("ascii")[1:-1].split(",")
    return _encode_json(values)[1:-1].split(", ")


_WITHOUT_EXPONENT = 1e-4, 1e16


@lru_cache(maxsize=16_384)
def _video_as_json(path: str) -> str:
    """The beginning of an entry: all models and dimensions have videos of the same names."""
    return f'            {{\n                "video_path": {_encode_json(path)},\n                "video_results": '


_encode_json = json.JSONEncoder(ensure_ascii=False).encode


def _json_of(value: str | float | None) -> str:
    return float.__repr__(value) if type(value) is float and isfinite(value) else _encode_json(value)


def read(path: Path) -> dict[str, Dimension]:
    """A result file, in the order of its dimensions. One that cannot be read has no mean, and the reason.

    Raises:
        RecordError: not such a file, and what of it is not.
    """
    mend = "VBench writes {dimension: [mean, [{video_path, video_results}, ...]]}"
    content = files.read_json(path, error=RecordError, mend=mend)
    if not isinstance(content, dict):
        raise RecordError(f"not a result file of VBench: it holds {in_words(content)}", where=path, mend=mend)
    found: dict[str, Dimension] = {}
    readable = False
    for name, result in content.items():
        try:
            found[name] = dimension_of(result, name)
            readable = True
        except Unlike as problem:
            found[name] = Dimension(None, reason=str(problem))
    if not readable:
        why = next((str(dimension.reason) for dimension in found.values()), "it holds no dimension")
        raise RecordError(f"not a result file of VBench: {why}", where=path, mend=mend)
    return found


def is_results(path: Path) -> bool:
    """Whether a path is such a file, by all of its content: many a JSON holds some list that begins with a figure."""
    try:
        return path.suffix == ".json" and all(found.mean is not None for found in read(path).values())
    except RecordError:
        return False


def looks_like_results(content: object) -> bool:
    """Whether JSON means to be such a file: some of its values are a list that begins with a figure."""
    values = content.values() if isinstance(content, dict) else ()
    return any(isinstance(value, list) and isinstance(value[0] if value else None, int | float) for value in values)


# What others measured -----------------------------------------------------------------------------------------------


def published(
    path: Path, *more: Path, benchmark: str, model: str | None = None, notes: Collection[str] = ()
) -> tuple[Run, Record]:
    """What others measured of one model, as a record that says so.

    The means are taken as they are written: over which clips, only who published them knows. Where a mean is not that
    of the videos beside it, a note says so.

    Args:
        path: a result file, and others of the same model: VBench writes one per dimension, or per date.
        more: these others.
        benchmark: the table in which it stands.
        model: whose they are; None: what the first file's name says.
        notes: what to know of the values.

    Raises:
        RecordError: not a result file of VBench, or two of them give different values of one dimension.
    """
    paths = (path, *more)
    name = stem(path) if model is None else model
    dimensions, replaced = put_together(paths, name)
    place = path.name if not more else f"{len(paths)} files of {path.resolve().parent.name}/"
    record = Record(
        run=f"published-{name}",
        nodeid=f"{place}::{name}",
        benchmark=benchmark,
        model=name,
        status="passed",
        published=place,
        measurements=tuple(
            published_value(dimension, found.mean, reason=found.reason, n=found.n or 1)
            for dimension, found in dimensions.items()
        ),
        notes=(*notes, *replaced, *_remarks_on_means(dimensions)),
    )
    return unknown_run(record.run), record


def published_value(dimension: str, value: float | None, *, reason: str | None = None, n: int = 1) -> Measurement:
    """A value of one of VBench's dimensions, by its name there; higher is better in all of them."""
    return Measurement(name=f"{FAMILY}{dimension}", value=value, unit="1", better="higher", reason=reason, n=n)


def _remarks_on_means(dimensions: Mapping[str, Dimension]) -> list[str]:
    """What to know of the published means, and how many entries could not be read."""
    remarks = []
    for name, found in dimensions.items():
        if found.remark is not None:
            remarks.append(f"{FAMILY}{name}: {found.remark}")
        if found.unreadable:
            why = Counter(reason for _, reason in found.unreadable).most_common(1)[0][0]
            remarks.append(f"{FAMILY}{name}: {len(found.unreadable)} of {found.n} videos without a value ({why})")
    return remarks


def unknown_run(name: str) -> Run:
    """A run of which nothing but its records is known."""
    nowhere = Environment(python=UNKNOWN, platform=UNKNOWN, hardware=UNKNOWN, cpu=UNKNOWN, cpu_count=0, memory_mib=0)
    return Run(id=name, started_at="", environment=nowhere)


def stem(path: Path) -> str:
    """A file's name without what VBench adds to each."""
    return path.name.removesuffix(SUFFIX).removesuffix(".json")


def put_together(paths: Sequence[Path], model: str) -> tuple[dict[str, Dimension], list[str]]:
    """The dimensions of all files of one model, and what was said twice; the later of two dates counts.

    Raises:
        RecordError: not a result file of VBench, or two of them give different values of one dimension.
    """
    found: dict[str, tuple[Dimension, Path]] = {}
    replaced: list[str] = []
    for path in sorted(paths, key=_date):
        for name, dimension in read(path).items():
            earlier, before = found.get(name, (dimension, path))
            if earlier != dimension and not _date(before) < _date(path):
                raise RecordError(
                    f"{name} of {model} is {_mean_in_words(earlier)} here and {_mean_in_words(dimension)} in {path}",
                    where=before,
                    mend="leave one out, or say whose they are: MODEL=FILE",
                )
            if earlier != dimension:
                replaced.append(f"{name} of {model}: {path.name} counts, {before.name} is older")
            found[name] = dimension, path
    return {name: dimension for name, (dimension, _) in found.items()}, replaced


def models_of(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Whose files these are, where nobody says: of the model that a file's name names, else of its folder's.

    VBench names its files by date or by dimension, never by model, and a model's files lie in one folder. A file whose
    name says nothing else belongs to the folder; so do files that share no dimension (they are parts of one result),
    and files of one name in several folders. Folders of one name are told apart by the folders that they lie in.

    Raises:
        RecordError: a file that cannot be read.
    """
    dimensions = {path: frozenset(read(path)) for path in paths}
    places: dict[Path, list[Path]] = {}
    for path in paths:
        places.setdefault(path.resolve().parent, []).append(path)
    folders_of = Counter(stem(path) for path in paths)
    names = distinct(list(places))
    found: dict[str, list[Path]] = {}
    for folder, together in places.items():
        times_told = Counter(dimension for path in together for dimension in dimensions[path])
        are_parts = len(together) > 1 and max(times_told.values()) == 1
        for path in together:
            own = folders_of[stem(path)] == 1 and _names_a_model(stem(path), dimensions[path])
            found.setdefault(stem(path) if own and not are_parts else names[folder], []).append(path)
    return found


def distinct(folders: Collection[Path]) -> dict[Path, str]:
    """The shortest ends of these paths that tell them apart: `wan/videos` and `cog/videos`, or just `wan` and `cog`."""
    names = {}
    for folder in folders:
        others = [other.parts for other in folders if other != folder]
        parts = folder.parts
        length = 1
        while length < len(parts) and any(other[-length:] == parts[-length:] for other in others):
            length += 1
        names[folder] = PurePath(*parts[-length:]).as_posix()
    return names


_DATE = re.compile(r"\d{4}-?\d\d-?\d\d(?:[-_T ]?\d\d[:.-]?\d\d(?:[:.-]?\d\d)?)?")
_NOBODYS = frozenset(
    {"all", "custom", "final", "full", "input", "json", "long", "merged", "mode", "part", "run", "sampled", "test"}
    | {"dim", "dimension", "dimensions", "eval", "evaluate", "evaluation", "metrics", "result", "results", "vbench"}
    | {"output", "outputs", "quality", "score", "scores", "semantic", "total", "video", "videos"}
)
"""Words that name no model."""


def _names_a_model(name: str, dimensions: Collection[str]) -> bool:
    """Whether something is left of a file's name besides dates, numbers, dimensions and what everybody writes."""
    known = {word for dimension in dimensions for word in _words_of(dimension)}
    return any(word not in known | _NOBODYS for word in _words_of(_DATE.sub(" ", name)))


def _words_of(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.casefold())


def _mean_in_words(dimension: Dimension) -> str:
    return "without a mean" if dimension.mean is None else f"{dimension.mean:g}"


def _date(path: Path) -> str:
    dated = _DATE.search(path.name)
    return "" if dated is None else re.sub(r"\D", "", dated[0])
