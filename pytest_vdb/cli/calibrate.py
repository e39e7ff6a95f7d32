"""`vdb calibrate`: does a metric get worse when the clip does?"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.clips import look_through
from pytest_vdb.cli.numbers import whole
from pytest_vdb.cli.printing import print_json, print_table, progress, show
from pytest_vdb.cli.session import SessionArguments, add_metric_arguments, chosen_metrics, errors_of_metrics, session_of
from pytest_vdb.files import expanded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_vdb.analysis.calibration import Answer, Scene

_FRAMES = 24
"""Of the scenes that are drawn: enough for every network, with 40% of the frames dropped."""


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    calibrate = commands.add_parser(
        "calibrate",
        help="correlate metrics with the severity of what is done to a clip",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb calibrate                                  the default metrics on drawn scenes\n"
        "  vdb calibrate --metrics all --clips good/      on your own good clips\n\n"
        "Spearman's correlation of value and severity (0 to 5), mean over the scenes. What a metric claims to rank\n"
        "as a person would is marked + where the claim holds and ! where it does not; the exit status is then 1.",
    )
    calibrate.add_argument("--clips", type=expanded, metavar="CLIPS", help="good clips (default: drawn scenes)")
    calibrate.add_argument(
        "--scenes", type=whole("--scenes", 1), default=4, help="how many drawn scenes (default: %(default)s)"
    )
    calibrate.add_argument(
        "--size", type=whole("--size", 16), default=128, help="height and width of these (%(default)s)"
    )
    add_metric_arguments(calibrate)
    calibrate.set_defaults(command=Command(CalibrateArguments, _calibrate))


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateArguments:
    """What `vdb calibrate` was asked."""

    session: SessionArguments
    clips: Path | None
    scenes: int
    size: int
    json: bool


def _calibrate(arguments: CalibrateArguments) -> int:
    from pytest_vdb.analysis.calibration import calibrate
    from pytest_vdb.records import DEGRADATIONS

    session = session_of(arguments.session)
    specs = chosen_metrics(session)
    engine = session.engine_of(specs)
    scenes = _scenes(arguments.clips, arguments.scenes, arguments.size)
    total = len(DEGRADATIONS) * sum(len(spec.parts) for spec in specs)
    answering = calibrate(engine, scenes, DEGRADATIONS)
    answers: list[Answer] = []
    try:
        with errors_of_metrics():
            for answer in progress(answering, total=total, unit="answer"):
                answers.append(answer)
    except KeyboardInterrupt as stop:
        _show(answers, len(scenes), as_json=arguments.json)
        stop.add_note(f"{len(answers)} of {total} correlations are shown")
        raise
    _show(answers, len(scenes), as_json=arguments.json)
    return 1 if any(answer.holds is False and not answer.wiring for answer in answers) else 0


def _show(answers: Sequence[Answer], scenes: int, *, as_json: bool) -> None:
    from pytest_vdb.analysis.calibration import HOLDS_FROM
    from pytest_vdb.records import DEGRADATIONS

    if as_json:
        print_json([{**asdict(answer), "agreement": answer.agreement, "holds": answer.holds} for answer in answers])
        return
    rows: dict[str, dict[str, str | None]] = {}
    for answer in answers:
        rows.setdefault(answer.metric, {"better": answer.better})[answer.degradation] = _rho_in_words(answer)
    cells = ([name, row["better"], *(row.get(of) for of in DEGRADATIONS)] for name, row in rows.items())
    print_table(("metric", "better", *DEGRADATIONS), (row for row in cells if any(row[2:])))
    show(f"{scenes} scenes; + a claim that holds, ! one that does not (below {HOLDS_FROM} in its direction)")
    for reason, metrics in _metrics_by_reason(answers).items():
        show(f"– {', '.join(metrics)}: {reason}")


def _scenes(clips: Path | None, count: int, side: int) -> list[Scene]:
    """The user's clips with the prompts that a manifest names, or drawn ones with the prompts they are drawn from."""
    from pytest_vdb import video
    from pytest_vdb.analysis.calibration import Scene
    from pytest_vdb.models.recordings import recordings
    from pytest_vdb.prompts import suites
    from pytest_vdb.records import Clip
    from pytest_vdb.shapes import moving_shapes

    if clips is not None:
        return [
            Scene(clip=video.read(one.path), prompt=one.prompt) for one in recordings(clips, found=look_through(clips))
        ]
    prompts = suites.load(f"standard-100:{count}", root=Path.cwd()).prompts
    drawn = [moving_shapes(prompt.id, frames=_FRAMES, height=side, width=side) for prompt in prompts]
    return [Scene(clip=Clip(frames, 8.0), prompt=prompt) for frames, prompt in zip(drawn, prompts, strict=True)]


def _rho_in_words(answer: Answer) -> str | None:
    if answer.rho is None:
        return None
    mark = {True: " +", False: " !", None: ""}[answer.holds]
    return f"{answer.rho:+.2f}{mark}{' (wiring)' if answer.wiring else ''}"


def _metrics_by_reason(answers: Sequence[Answer]) -> dict[str, dict[str, None]]:
    """Why there is no correlation, each reason once."""
    reasons: dict[str, dict[str, None]] = {}
    for answer in answers:
        if answer.reason:
            reasons.setdefault(answer.reason, {})[answer.metric] = None
    return reasons
