"""`vdb reference build`: what set metrics compare with, from a folder of clips; and finding it again."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import files
from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.clips import look_through
from pytest_vdb.cli.printing import progress, show, warn
from pytest_vdb.cli.session import SessionArguments, session_of
from pytest_vdb.errors import CannotMeasure, ClipFileError, UnknownName
from pytest_vdb.files import expanded

if TYPE_CHECKING:
    from pytest_vdb.metrics.contract import MetricSpec, ReferenceFeatures
    from pytest_vdb.metrics.engine import Engine, Scores


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    reference = commands.add_parser("reference", help="build what set metrics (FVD, KVD, ...) compare with")
    actions = reference.add_subparsers(required=True, metavar="build")
    build = actions.add_parser(
        "build",
        help="write the features and moments of a folder of clips",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb reference build real/ -o real.npz\n"
        "  vdb reference build real/ -o real.npz --backbone i3d=i3d_torchscript.pt --backbone vjepa\n"
        "  vdb score generated/ --reference real.npz --metrics fvd,kvd",
    )
    build.add_argument("clips", type=expanded, metavar="CLIPS", help="a folder of clips")
    build.add_argument("-o", "--output", type=expanded, required=True, metavar="FILE", help="the .npz to write")
    build.add_argument(
        "--backbone",
        action="append",
        default=[],
        metavar="NAME[=PATH]",
        help="a network to look through, with weights of your own if wanted; repeatable (default: i3d)",
    )
    build.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default: %(default)s)")
    build.add_argument("--moments-only", action="store_true", help="leave the features out: smaller, but no KVD")
    build.add_argument("--tiny", action="store_true", help="tiny random networks: proves the wiring only")
    build.set_defaults(command=Command(BuildArguments, _build_reference))


def references_for(path: Path, engine: Engine) -> Mapping[str, ReferenceFeatures]:
    """What `vdb reference build` wrote, or the features of a folder of clips through the engine's own networks.

    Raises:
        RecordError, ClipFileError: neither can be read.
    """
    from pytest_vdb.metrics import reference

    if reference.is_reference(path):
        return reference.load(path)
    return _gathered(path, engine)


def measured_clips(path: Path, engine: Engine) -> dict[Path, Scores]:
    """What the engine sees in each clip that can be read; the others are said on stderr.

    Raises:
        ClipFileError: no clip there, or none that can be read.
    """
    from pytest_vdb import video
    from pytest_vdb.bench.pool import side_by_side

    def measured(clip: Path) -> Scores | ClipFileError:
        try:
            return engine.measure(video.read(clip))
        except ClipFileError as error:
            return error

    clips, samples = look_through(path).clips, {}
    found = progress(side_by_side(measured, clips), total=len(clips), unit="reference clip")
    for clip, sample in zip(clips, found, strict=True):
        if isinstance(sample, ClipFileError):
            warn(f"reference: {sample}")
        else:
            samples[clip] = sample
    if not samples:
        raise ClipFileError("no reference clip could be read", where=path, mend="give clips that play")
    return samples


def _gathered(path: Path, engine: Engine) -> dict[str, ReferenceFeatures]:
    """The features that the engine's set metrics compare with; clips that lack one are said on stderr.

    Raises:
        ClipFileError: no clip there, or none that can be read.
        CannotMeasure: no clip has any of the features, with the reason.
    """
    from pytest_vdb.metrics import reference
    from pytest_vdb.metrics.engine import left_out

    seen = measured_clips(path, engine)
    samples, names = list(seen.values()), [clip.name for clip in seen]
    references = reference.gather(samples, source=str(path))
    wanted = dict.fromkeys(name for spec in engine.metrics if spec.scope == "set" for name in spec.features)
    remarks = {name: remark for name in wanted if (remark := left_out(samples, [name], names)) is not None}
    if not references:
        raise CannotMeasure("; ".join(dict.fromkeys(remarks.values())), where=path)
    for name, remark in remarks.items():
        warn(f"reference: {name} {remark}")
    return references


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildArguments:
    """What `vdb reference build` was asked."""

    session: SessionArguments
    clips: Path
    output: Path
    moments_only: bool


def _build_reference(arguments: BuildArguments) -> int:
    from pytest_vdb.metrics import reference

    given = arguments.session.backbone
    names = [name.partition("=")[0] for name in given] or ["i3d"]
    with_weights = replace(arguments.session, backbone=tuple(name for name in given if "=" in name))
    engine = session_of(with_weights).engine_of(_set_metrics_through(names))
    files.check_writable(arguments.output)  # before the clips are measured
    references = _gathered(arguments.clips, engine)
    reference.save(arguments.output, references, keep_features=not arguments.moments_only)
    for name, kept in references.items():
        assert kept.features is not None
        clips, numbers = kept.features.shape
        show(f"{name}: {clips} clips, {numbers} numbers each, through {kept.identity}")
    show(f"{arguments.output}: compare with it by vdb score --reference={arguments.output}")
    return 0


def _set_metrics_through(names: list[str]) -> tuple[MetricSpec, ...]:
    """The metrics that compare sets through these networks: they say which features a reference must hold.

    Raises:
        UnknownName: a network that no such metric looks through.
    """
    from pytest_vdb.metrics.registry import MetricRegistry

    comparing = [spec for spec in MetricRegistry.builtin() if any(name.endswith("_reference") for name in spec.inputs)]
    known = dict.fromkeys(name for spec in comparing for name in spec.backbones)
    for name in names:
        if name not in known:
            mend = f"One of: {', '.join(known)}."
            raise UnknownName("network of a set metric", name, known, where="--backbone", mend=mend)
    return tuple(spec for spec in comparing if set(spec.backbones) <= set(names))
