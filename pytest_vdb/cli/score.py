"""`vdb score`: the metrics of clips that exist already, without pytest."""

from __future__ import annotations

import argparse
import math
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import files
from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.clips import look_through
from pytest_vdb.cli.printing import print_json, print_table, progress, show, warn
from pytest_vdb.cli.session import SessionArguments, add_metric_arguments, chosen_metrics, errors_of_metrics, session_of
from pytest_vdb.errors import OptionError
from pytest_vdb.escaping import few
from pytest_vdb.figures import notation
from pytest_vdb.files import expanded
from pytest_vdb.privacy import Privacy
from pytest_vdb.records import SCORED, Measurement, Record, Run, to_plain

if TYPE_CHECKING:
    from pytest_vdb.bench.scoring import Outcome, Scorer
    from pytest_vdb.bench.session import Session
    from pytest_vdb.metrics.contract import MetricSpec, ReferenceFeatures
    from pytest_vdb.models.recordings import Recording
    from pytest_vdb.results.ledger import Ledger


_MOST_NAMES = 3
"""Of clips, that a message lists."""


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    score = commands.add_parser(
        "score",
        help="measure clips that exist already",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb score clips/ --prompts standard-100            clips named by the prompts' ids or texts\n"
        "  vdb score clips/ --metrics default,dino_consistency --backbone clip=ViT-L-14.safetensors\n"
        "  vdb score quantised/ --reference full/ --metrics psnr,ssim,lpips     pairs, by name\n"
        "  vdb score clips/ --reference real.npz --metrics fvd,kvd              a set against a set\n\n"
        "A clip is any video, a GIF, a folder of images, an .npy or .npz. Results are appended to --output as they\n"
        "come; a clip whose file, prompt, reference and metrics have not changed is not measured again.\n"
        "The exit status is 1 if any clip failed.",
    )
    score.add_argument("clips", type=expanded, metavar="CLIPS", help="a folder of clips, or one clip")
    score.add_argument(
        "--prompts", metavar="FILE", help="a suite, a file of prompts, or a manifest that names the clips' files"
    )
    score.add_argument(
        "--reference",
        type=expanded,
        metavar="CLIPS|NPZ",
        help="clips to compare with, or what vdb reference build wrote",
    )
    score.add_argument("--model", metavar="NAME", help="who made the clips, in reports (default: the folder's name)")
    score.add_argument("--output", "-o", type=expanded, metavar="FILE", help="default: reports/scores/CLIPS.jsonl")
    score.add_argument("--vbench", type=expanded, metavar="FILE", help="also write vbench.* as a VBench result file")
    add_metric_arguments(score)
    score.set_defaults(command=Command(ScoreArguments, _score_clips))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreArguments:
    """What `vdb score` was asked."""

    session: SessionArguments
    clips: Path
    prompts: str | None
    reference: Path | None
    model: str | None
    output: Path | None
    vbench: Path | None
    json: bool


def _score_clips(arguments: ScoreArguments) -> int:
    from pytest_vdb.results.ledger import SCORES, Ledger

    session = session_of(arguments.session)
    specs = _that_can_compare(arguments, session)
    kept = _kept_reference(arguments.reference)
    recordings = _recordings(arguments.clips, arguments.prompts)
    name = arguments.clips.resolve().name
    output = arguments.output or Path("reports") / SCORES / f"{name}.jsonl"
    privacy = Privacy(Path.cwd(), arguments=sys.argv)
    ledger = Ledger(files.check_writable(output), privacy)
    for warning in ledger.warnings:
        warn(warning)
    if arguments.vbench is not None:
        files.check_writable(arguments.vbench)
    model, folder = _whose(arguments, ledger, recordings, name)
    scorer = _scorer(arguments, session, specs, ledger, recordings, model, folder)
    ledger.describe(_run_of_scores(arguments, scorer, session, privacy))
    outcomes: list[Outcome] = []
    try:
        for outcome in progress(scorer.score(recordings), total=len(recordings), unit="clip"):
            outcomes.append(outcome)
            if outcome.record.failure is not None:
                warn(f"{outcome.recording.name}: {outcome.record.failure.message}")
            for note in outcome.record.notes if not outcome.reused else ():
                warn(f"{outcome.recording.name}: {note}")
        with errors_of_metrics():
            of_set = _measure_set(arguments, scorer, outcomes, kept)
    except KeyboardInterrupt as stop:
        there = sum(ledger.clip(folder, recording.name) is not None for recording in recordings)
        stop.add_note(f"{there} of {len(recordings)} clips are in {ledger.path}; the same command goes on")
        raise
    failed = sum(outcome.record.failure is not None for outcome in outcomes)
    _print_outcomes(arguments, specs, outcomes, of_set)
    if arguments.vbench is not None:
        _write_vbench(arguments.vbench, scorer, outcomes, of_set)
    _warn_of_twins(outcomes)
    reused = sum(outcome.reused for outcome in outcomes)
    warn(f"{len(outcomes)} clips, {reused} of them scored before, {failed} failed; records: {ledger.path}")
    return 1 if failed else 0


def _whose(arguments: ScoreArguments, ledger: Ledger, recordings: Sequence[Recording], name: str) -> tuple[str, str]:
    """Who made the clips, and where they lie as the ledger spells it.

    Raises:
        OptionError: nobody says who, and the ledger holds the clips of another folder that is called the same.
    """
    from pytest_vdb.bench.scoring import root_of
    from pytest_vdb.results.ledger import folder_of

    folder = folder_of(root_of(recordings[0]), ledger.path)
    if arguments.model:
        return arguments.model, folder
    others = [other for other in ledger.folders(name) if other != folder]
    if others:
        raise OptionError(
            f"{name!r} would be two models: {ledger.path} holds the clips of another folder of this name ({others[0]})",
            where=arguments.clips,
            mend="say who made these: --model NAME; or keep them apart: --output FILE",
        )
    return name, folder


def _recordings(clips: Path, prompts: str | None) -> tuple[Recording, ...]:
    """The clips with their prompts, from a suite, a file of prompts or a manifest."""
    from pytest_vdb.models.recordings import is_manifest, recordings
    from pytest_vdb.prompts import suites

    found = look_through(clips)
    if prompts is None:
        return recordings(clips, found=found)
    if is_manifest(Path(prompts)):
        return recordings(clips, manifest=Path(prompts), found=found)
    answers = recordings(clips, suites.load(prompts, root=Path.cwd()).prompts, found=found)
    strangers = [one.name for one in answers if one.prompt is None]
    if strangers:
        warn(f"{len(strangers)} of {len(answers)} clips answer no prompt of {prompts}: {few(strangers, _MOST_NAMES)}")
    return answers


def _scorer(
    arguments: ScoreArguments,
    session: Session,
    specs: Sequence[MetricSpec],
    ledger: Ledger,
    recordings: Sequence[Recording],
    model: str,
    folder: str,
) -> Scorer:
    from pytest_vdb.bench.scoring import Scorer, by_name
    from pytest_vdb.models.recordings import recordings as find

    references = {}
    reference = arguments.reference
    if reference is not None and _are_clips(reference) and any(spec.scope == "pair" for spec in specs):
        references = by_name(recordings, find(reference, found=look_through(reference)))
        alone = [one.name for one in recordings if one.name not in references]
        if alone:
            warn(f"{len(alone)} of {len(recordings)} clips have no reference of their name: {few(alone, _MOST_NAMES)}")
    return Scorer(
        engine=session.engine_of(specs),
        ledger=ledger,
        model=model,
        folder=folder,
        run=f"{SCORED}{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
        cache_dir=session.options.cache_dir,
        backbones=dict(session.options.backbones),
        references=references,
    )


def _run_of_scores(arguments: ScoreArguments, scorer: Scorer, session: Session, privacy: Privacy) -> Run:
    """With what the clips are measured: for reports."""
    of_session = arguments.session
    given = {
        "clips": arguments.clips,
        "prompts": arguments.prompts,
        "reference": arguments.reference,
        "metrics": of_session.metrics,
        "backbone": of_session.backbone,
        "tiny": of_session.tiny,
    }
    asked = {name: value for name, value in given.items() if value}
    paths = {name: privacy.path(value.absolute()) for name, value in asked.items() if isinstance(value, Path)}
    return Run(
        id=scorer.run,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        environment=session.environment,
        options={"model": scorer.model, **asked, **paths},
        bounds=session.own_bounds(name for spec in session.metric_registry for name in spec.part_names()),
    )


def _that_can_compare(arguments: ScoreArguments, session: Session) -> tuple[MetricSpec, ...]:
    """What `--metrics` chooses; of the default's paired metrics those that have all they need."""
    asked = session.metric_registry.select(session.options.metrics, where="--metrics", paired=False)
    return tuple(spec for spec in chosen_metrics(session) if spec in asked or _can_compare(spec, arguments, session))


def _can_compare(spec: MetricSpec, arguments: ScoreArguments, session: Session) -> bool:
    """Whether a default paired metric has clips to compare with and the network that it looks through."""
    from pytest_vdb.backbones import published

    named = {name for name, _ in session.options.backbones}
    here = (
        arguments.session.tiny
        or network.name in named
        or published.is_here(network, cache_dir=session.options.cache_dir)
        for network in spec.networks
    )
    return _are_clips(arguments.reference) and all(here)


def _are_clips(reference: Path | None) -> bool:
    """Whether a reference is clips, not what `vdb reference build` wrote."""
    from pytest_vdb.metrics.reference import is_reference

    return reference is not None and not is_reference(reference)


def _kept_reference(path: Path | None) -> Mapping[str, ReferenceFeatures] | None:
    """What `vdb reference build` wrote, read before the clips are measured; None of clips, which are looked for.

    Raises:
        RecordError, ClipFileError: neither is there, or it cannot be read.
    """
    from pytest_vdb.metrics import reference
    from pytest_vdb.models.recordings import clips_in

    if path is None:
        return None
    if reference.is_reference(path):
        return reference.load(path)
    clips_in(path)
    return None


def _measure_set(
    arguments: ScoreArguments,
    scorer: Scorer,
    outcomes: Sequence[Outcome],
    kept: Mapping[str, ReferenceFeatures] | None,
) -> tuple[Measurement, ...]:
    """The set metrics over all clips that could be measured; recorded like a clip's."""
    from pytest_vdb.cli.reference import references_for

    specs = [spec for spec in scorer.engine.metrics if spec.scope == "set"]
    good = [outcome for outcome in outcomes if outcome.record.failure is None]
    if not specs or not good:
        return ()
    prompts = [outcome.recording.prompt for outcome in good]
    known = [prompt for prompt in prompts if prompt is not None]
    measurements = scorer.engine.measure_set(
        [outcome.scores for outcome in good],
        prompts=known if len(known) == len(good) else None,
        clips=_Clips([outcome.recording.path for outcome in good]),
        references=kept or (references_for(arguments.reference, scorer.engine) if arguments.reference else None),
        names=[outcome.recording.name for outcome in good],
    )
    scorer.ledger.append(_set_record(scorer, measurements))
    return measurements


def _set_record(scorer: Scorer, measurements: Sequence[Measurement]) -> Record:
    from pytest_vdb.results.ledger import FOLDER, SCORE_SET

    return Record(
        run=scorer.run,
        nodeid=SCORE_SET,
        benchmark=SCORE_SET,
        model=scorer.model,
        status="passed",
        weights="none",
        recipe={FOLDER: scorer.folder} if scorer.folder else {},
        measurements=tuple(measurements),
    )


class _Clips(Sequence[Any]):
    """Clips on disk, each read when it is asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: Any) -> Any:
        from pytest_vdb import video

        return video.read(self._paths[index])


# What is shown ------------------------------------------------------------------------------------------------------


def _print_outcomes(
    arguments: ScoreArguments,
    specs: Sequence[MetricSpec],
    outcomes: Sequence[Outcome],
    of_set: Sequence[Measurement],
) -> None:
    from pytest_vdb.metrics.resize import PARTS

    names = [name for spec in specs if spec.scope != "set" for name in spec.part_names()]
    if arguments.json:
        clips = [_outcome_for_programs(outcome, names) for outcome in outcomes]
        print_json({"clips": clips, "set": [to_plain(measured) for measured in of_set]})
        return
    rows = [row for name in names if (row := _row_of_metric(name, outcomes))]
    # `psnr.512` of smaller clips has no value, and needs no row: below it is said why.
    sizes = tuple(f".{part}" for part in PARTS if part)
    shown = [row for row in rows if row[4] or not str(row[0]).endswith(sizes)]
    header = ("metric", "mean", "lowest", "highest", "clips", "unit")
    print_table(header, shown + [_set_row(measured) for measured in of_set])
    for line in _lines_of_reasons(names, outcomes, of_set):
        show(line)


def _warn_of_twins(outcomes: Sequence[Outcome]) -> None:
    """Samples that are one file: each is scored, and whoever made them should know."""
    twins: dict[tuple[str | None, str], list[str]] = {}
    for outcome in outcomes:
        content = outcome.record.recipe.get("file")
        if content is not None:
            twins.setdefault((outcome.record.prompt, content), []).append(outcome.recording.name)
    for (prompt, _), names in twins.items():
        if len(names) > 1:
            of = "" if prompt is None else f" of prompt {prompt}"
            warn(f"{len(names)} clips{of} are the same file (a seed that is ignored?): {few(names, _MOST_NAMES)}")


def _write_vbench(path: Path, scorer: Scorer, outcomes: Sequence[Outcome], of_set: Sequence[Measurement]) -> None:
    """VBench's dimensions in its own layout."""
    from pytest_vdb.reporters.formats.vbench import of_records
    from pytest_vdb.results import vbench

    dimensions = of_records([*(outcome.record for outcome in outcomes), _set_record(scorer, of_set)])
    if not dimensions:
        warn(f"{path}: not written: no vbench.* metric has a value")
        return
    files.write(path, vbench.render(dimensions))
    warn(f"{path}: {len(dimensions)} of VBench's dimensions")


def _outcome_for_programs(outcome: Outcome, names: Sequence[str]) -> dict[str, Any]:
    record = outcome.record
    measured = [m for name in names if (m := record.measurement(name)) is not None]
    return {
        "clip": outcome.recording.name,
        "status": record.status,
        "prompt": record.prompt,
        "failure": None if record.failure is None else record.failure.message,
        "measurements": [to_plain(measurement) for measurement in measured],
    }


def _row_of_metric(name: str, outcomes: Sequence[Outcome]) -> tuple[object, ...]:
    """Mean, lowest and highest of one metric, with the clips that have them."""
    found = [(outcome.recording.name, m) for outcome in outcomes if (m := outcome.record.measurement(name)) is not None]
    if not found:
        return ()
    values = [(m.value, clip) for clip, m in found if m.value is not None]
    unit = found[0][1].unit + (" (wiring)" if found[0][1].wiring else "")
    if not values:
        return (name, None, None, None, 0, unit)
    (low, lowest), (high, highest) = min(values), max(values)
    mean = math.fsum(value for value, _ in values) / len(values)
    write = notation([low, mean, high], apart=[(low, mean), (mean, high)], significant=4).write
    return (name, write(mean), f"{write(low)} {lowest}", f"{write(high)} {highest}", len(values), unit)


def _set_row(measured: Measurement) -> tuple[object, ...]:
    unit = measured.unit + (" (wiring)" if measured.wiring else "")
    if measured.value is None:
        return (measured.name, None, None, None, 0, unit)
    low, high = measured.interval or (None, None)
    write = notation([low, measured.value, high], significant=4).write
    shown = [None if end is None else f"{write(end)} (95%)" for end in (low, high)]
    return (f"{measured.name} (set)", write(measured.value), *shown, measured.n, unit)


def _lines_of_reasons(names: Sequence[str], outcomes: Sequence[Outcome], of_set: Sequence[Measurement]) -> list[str]:
    """Why values are missing: each reason once, with the metrics and clips it concerns."""
    concerned: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for outcome in outcomes:
        for name in names:
            measured = outcome.record.measurement(name)
            if measured is not None and measured.value is None and measured.reason:
                metrics, clips = concerned.setdefault(measured.reason, ({}, {}))
                metrics[name], clips[outcome.recording.name] = None, None
    measured_clips = sum(outcome.record.failure is None for outcome in outcomes)
    lines = []
    for reason, (metrics, clips) in concerned.items():
        where = "all clips" if len(clips) == measured_clips else few(list(clips), _MOST_NAMES)
        lines.append(f"– {', '.join(metrics)} of {where}: {reason}")
    return lines + [f"– {measured.name}: {measured.reason}" for measured in of_set if measured.reason]
