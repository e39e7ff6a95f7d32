"""What `vdb report` and `vdb compare` read: runs, what `vdb score` wrote, baselines, and what others published.

Each is given as `PATH` or `MODEL=PATH`; a folder stands for what it holds, a pattern for what it matches. One that
cannot be read never stops a report of the others.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from glob import glob, has_magic
from pathlib import Path

from pytest_vdb import files
from pytest_vdb.errors import OptionError, RecordError, VdbError
from pytest_vdb.escaping import few
from pytest_vdb.files import is_folder
from pytest_vdb.records import Record, Run
from pytest_vdb.results import baselines, journal, ledger, sources, vbench
from pytest_vdb.results.sources import Sort
from pytest_vdb.results.vbench_videos import as_in_names, records_of_videos

GENERATION = "test_generation"
"""The benchmark of the shipped suite in which models are measured clip by clip, as scored clips are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One thing to report on."""

    path: Path
    run: Run
    records: tuple[Record, ...]
    output: Path | None
    """Where its reports go when nobody says; None: it does not know."""
    folder: Path
    """What the records' files are relative to."""
    warnings: tuple[str, ...] = ()
    videos: tuple[Record, ...] = ()
    """Of what others published, the values of each video, where they are told; the records are the means."""
    others: frozenset[str] = frozenset()
    """Models whose records were not asked for."""

    @property
    def models(self) -> tuple[str, ...]:
        """Whose records it holds."""
        return tuple(sorted({record.model for record in self.records} | self.others))


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One file or folder as it was asked for."""

    path: Path
    model: str | None = None
    """Whose it is, where the user says; else what it says itself."""
    sort: Sort


def read(arguments: Sequence[str], *, models: Container[str] | None = None) -> tuple[list[Source], list[VdbError]]:
    """Everything that can be read, and why the rest cannot be.

    Scored clips and published figures stand beside the models that the runs' suite generated with, or in a table of
    their own where no run has that benchmark.

    Args:
        arguments: as the module says.
        models: of runs only these models' records are needed; None: all of them.

    Raises:
        VdbError: nothing can be read, or an argument names nothing.
    """
    given, problems = _asked(arguments)
    runs: dict[Path, Source] = {}
    ledgers: list[_Scored] = []
    results: list[Given] = []
    for one in given:
        try:
            match one.sort:
                case "run":
                    runs[one.path] = _source_of_run(one, models)
                case "baseline":
                    runs[one.path] = _source_of_baseline(one)
                case "ledger":
                    ledgers.append(_Scored(path=one.path, model=one.model, table=ledger.read(one.path)))
                case "published":
                    vbench.read(one.path)
                    results.append(one)
        except OptionError:
            raise
        except VdbError as problem:
            problems.append(problem)
    benchmark = _benchmark_of_clips(list(runs.values()))
    found = [*runs.values(), *_sources_of_scores(ledgers, benchmark), *_sources_of_published(results, benchmark)]
    if not found:
        first, *others = problems
        for other in others:
            first.add_note(str(other))
        raise first
    return found, problems


def each(arguments: Sequence[str], *, models: Container[str] | None = None) -> list[Source]:
    """What each argument stands for, if each is one thing: published files are one, if all of them are one model's.

    Args:
        arguments, models: see `read`.

    Raises:
        VdbError: one that cannot be read, or that is several.
    """
    theirs = {argument: given for argument in arguments if (given := _only_published(argument))}
    ours = [argument for argument in arguments if argument not in theirs]
    found, problems = read(ours, models=models) if ours else ([], [])
    if problems:
        raise problems[0]
    benchmark = _benchmark_of_clips(found)
    by_path = {source.path.resolve(): source for source in found}
    names = _names_of_published(theirs)
    sides = []
    for argument in arguments:
        if argument in theirs:
            sides.append(_source_of_published([one.path for one in theirs[argument]], names[argument], benchmark))
            continue
        _, paths = named(argument)
        source = by_path.get(paths[0].resolve()) if len(paths) == 1 else None
        if source is None:
            raise OptionError("stands for several things", where=argument, mend="name one of them")
        sides.append(source)
    return _with_our_prompts(sides)


def _with_our_prompts(sources: Sequence[Source]) -> list[Source]:
    """Published videos by the ids of our prompts: their names tell the texts alone."""
    if not any(one.videos for one in sources):
        return list(sources)
    ours = (record for one in sources for record in one.records)
    ids = {as_in_names(record.prompt_text): record.prompt for record in ours if record.prompt_text is not None}
    return [
        replace(
            one,
            videos=tuple(replace(video, prompt=ids.get(video.prompt or "") or video.prompt) for video in one.videos),
        )
        for one in sources
    ]


def _benchmark_of_clips(sources: Sequence[Source]) -> str:
    """The benchmark that scored clips and published values stand in beside these."""
    measured = {record.benchmark for source in sources for record in source.records}
    return next((name for name in sorted(measured) if name.rpartition("::")[2] == GENERATION), ledger.SCORE)


def _only_published(argument: str) -> list[Given]:
    """The result files of VBench that an argument stands for, if it stands for nothing else.

    Raises:
        VdbError: it stands for nothing.
    """
    given, problems = _asked([argument])
    return [] if problems or any(one.sort != "published" for one in given) else given


def _names_of_published(given: Mapping[str, Sequence[Given]]) -> dict[str, str]:
    """Whose values each argument holds; two of one name are told apart by where they lie.

    Raises:
        OptionError: an argument holds several models' values.
    """
    found = {}
    for argument, files_of_one in given.items():
        paths = [one.path for one in files_of_one]
        told = files_of_one[0].model
        models = [told] if told is not None else list(vbench.models_of(paths))
        if len(models) > 1:
            raise OptionError(
                f"stands for {len(models)} models: {few(models)}", where=argument, mend="name one of them"
            )
        found[argument] = models[0]
    if len(set(found.values())) == len(found):
        return found
    places = {argument: _place_of_published([one.path for one in given[argument]]) for argument in found}
    told_apart = vbench.distinct(set(places.values()))
    return {argument: told_apart[place] for argument, place in places.items()}


def _place_of_published(paths: Sequence[Path]) -> Path:
    """A file without its ending, or the folder of several."""
    folder = paths[0].resolve().parent
    return folder if len(paths) > 1 else folder / vbench.stem(paths[0])


# What is asked for --------------------------------------------------------------------------------------------------


def _asked(arguments: Sequence[str]) -> tuple[list[Given], list[VdbError]]:
    """Each file and folder once, with its sort; and those that are none of ours."""
    found: dict[Path, Given] = {}
    problems: list[VdbError] = []
    asked = [named(argument) for argument in arguments]
    everything = {path.resolve() for _, paths in asked for path in paths}
    for model, paths in asked:
        for path in paths:
            whole = sources.ledger_beside(path)
            if whole is not None and whole.resolve() in everything:
                continue  # `reports/scores/*` names a ledger's parts, too
            if sources.is_list_of_videos(path) and len(everything) > 1:
                continue  # and `wan/*.json` VBench's lists
            for inner in _contents(path, problems):
                try:
                    found.setdefault(inner.resolve(), Given(path=inner, model=model, sort=sources.sort_of(inner)))
                except VdbError as problem:
                    problems.append(problem)
    return list(found.values()), problems


def named(argument: str) -> tuple[str | None, list[Path]]:
    """`PATH` or `MODEL=PATH` -> who, and the paths: a shell leaves patterns behind `=` alone, and some leave all.

    Raises:
        OptionError: neither is there.
    """
    if files.is_there(files.expanded(argument)):
        return None, [files.expanded(argument)]
    model, equals, rest = argument.partition("=")
    if not equals:
        model, rest = "", argument
    elif not model.strip():
        raise OptionError(f"{argument!r} names no model", where="MODEL=PATH", mend="write e.g. wan=results/wan/")
    path = files.expanded(rest)
    if files.is_there(path):
        return model.strip(), [path]
    matching = sorted(glob(str(path))) if has_magic(rest) else []  # noqa: PTH207 - Path's takes no absolute pattern
    if not matching:
        what = "nothing matches" if has_magic(rest) else "there is no such file or folder"
        raise OptionError(what, where=argument, mend=sources.KNOWN)
    return model.strip() or None, [Path(match) for match in matching]


def _contents(path: Path, problems: list[VdbError]) -> list[Path]:
    """A folder that is no run stands for what it holds; one that holds nothing is a problem."""
    is_run = any(files.is_there(path / name) for name in (journal.RUN, journal.RECORDS))
    was_to_be_one = path.resolve().parent.name == journal.RUNS
    if not files.is_folder(path) or is_run or was_to_be_one:
        return [path]
    try:
        return sources.inside(path)
    except VdbError as problem:
        problems.append(problem)
        return []


# Each sort ----------------------------------------------------------------------------------------------------------


def _source_of_run(given: Given, only: Container[str] | None = None) -> Source:
    """A run, or what it has of some of its models: the user's own name for it is no name that it knows."""
    path = given.path
    run, records, others, warnings = journal.read_of_models(path, only if given.model is None else None)
    if not records and not others:
        mend = "run it to its first test at least"
        raise RecordError("; ".join(["the run has no records", *warnings]), where=path, mend=mend)
    lacking = journal.shortfall(run, [*records, *others]) if run.collected is not None else None
    folder = path if is_folder(path) else path.parent
    return Source(
        path=path,
        run=run,
        records=_by(given.model, records, path),
        others=frozenset(other.model for other in others),
        output=folder.parent.parent,
        folder=folder,
        warnings=(*warnings, *([] if lacking is None else [f"{path}: {lacking}"])),
    )


def _source_of_baseline(given: Given) -> Source:
    """The files beside the run did not come with it."""
    kept = baselines.load(given.path)
    records = [replace(record, features=None) for record in kept.records]
    return Source(
        path=given.path,
        run=kept.run,
        records=_by(given.model, records, given.path),
        output=None,
        folder=given.path.parent,
        warnings=kept.warnings,
    )


def _by(model: str | None, records: Sequence[Record], path: Path) -> tuple[Record, ...]:
    """Called as the user calls them.

    Raises:
        OptionError: the name is one and they are several.
    """
    if model is None:
        return tuple(records)
    models = sorted({record.model for record in records})
    if len(models) > 1:
        raise OptionError(
            f"it holds {len(models)} models ({few(models, 3)}), and {model!r} is one name",
            where=path,
            mend="leave MODEL= out",
        )
    return tuple(replace(record, model=model) for record in records)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    path: Path
    model: str | None
    table: ledger.Table


def _sources_of_scores(ledgers: Sequence[_Scored], benchmark: str) -> list[Source]:
    """Of each ledger the clips that it holds; models that are only called by a folder's name are told apart."""
    labels = vbench.distinct([one.path.resolve().with_suffix("") for one in ledgers])
    folders = vbench.distinct({_place_of_clip(one, record) for one in ledgers for record in one.table.records})
    by_name: dict[str, set[Path]] = {}
    for one in ledgers:
        for record in one.table.records:
            if _is_called_by_its_folder(one, record):
                by_name.setdefault(record.model, set()).add(_place_of_clip(one, record))
    confused = {name for name, places in by_name.items() if len(places) > 1}
    found = []
    for one in ledgers:
        label, records, warnings = labels[one.path.resolve().with_suffix("")], [], list(one.table.warnings)
        for record in one.table.records:
            model = one.model or record.model
            if model in confused and one.model is None and _is_called_by_its_folder(one, record):
                model = folders[_place_of_clip(one, record)]
            records.append(_as_row(replace(record, model=model), label, benchmark))
        renamed = sorted({record.model for record in records} - {record.model for record in one.table.records})
        if renamed and one.model is None:
            say = "say who made the clips: vdb score --model NAME, or vdb report NAME=FILE"
            warnings.append(f"{one.path}: several folders have one name; shown as {', '.join(renamed)}; {say}")
        folder = one.path.parent
        output = folder.parent if folder.name == ledger.SCORES else folder
        found.append(
            Source(
                path=one.path,
                run=one.table.run,
                records=tuple(records),
                output=output,
                folder=folder,
                warnings=tuple(warnings),
            )
        )
    return found


def _place_of_clip(one: _Scored, record: Record) -> Path:
    """The folder that a clip lay in: an absolute path, or what is known of one."""
    folder = str(record.recipe.get(ledger.FOLDER) or "")
    if not folder:
        return one.path.resolve().with_suffix("")
    place = ledger.project_of(one.path) / folder if ledger.is_told(folder) else Path(folder)
    return place / record.nodeid if record.model == record.nodeid else place  # a clip that was scored alone


def _is_called_by_its_folder(one: _Scored, record: Record) -> bool:
    folder = str(record.recipe.get(ledger.FOLDER) or "")
    own = Path(folder).name.partition("#")[0] if folder else one.path.stem
    return record.model in (own, record.nodeid)


def _as_row(record: Record, label: str, benchmark: str) -> Record:
    """A scored clip's identity is its file; the leaderboard's row is all of the model's clips."""
    prompt = None if record.benchmark == ledger.SCORE_SET else record.prompt or record.nodeid
    folder = record.recipe.get(ledger.FOLDER)
    nodeid = f"{label}{f': {folder}' if folder else ''}::{record.nodeid}"
    return replace(record, nodeid=nodeid, benchmark=benchmark, prompt=prompt, recipe={}, recipe_digest=None)


def _sources_of_published(results: Sequence[Given], benchmark: str) -> list[Source]:
    """One record per model: of the files that the user names, and of those that their places tell."""
    whose: dict[str, list[Path]] = {}
    for one in results:
        if one.model is not None:
            whose.setdefault(one.model, []).append(one.path)
    for model, paths in vbench.models_of([one.path for one in results if one.model is None]).items():
        whose.setdefault(model, []).extend(paths)
    return [_source_of_published(paths, model, benchmark) for model, paths in whose.items()]


def _source_of_published(paths: Sequence[Path], model: str, benchmark: str) -> Source:
    run, record = vbench.published(*paths, benchmark=benchmark, model=model)
    dimensions, replaced = vbench.put_together(paths, model)
    remarks = tuple(note for note in record.notes if note not in replaced)
    return Source(
        path=paths[0],
        run=run,
        records=(replace(record, notes=remarks),),
        output=None,
        folder=paths[0].parent,
        warnings=tuple(replaced),
        videos=records_of_videos(record, dimensions),
    )
