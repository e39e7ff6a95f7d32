"""`vdb export`: a model's denoiser and VAE decoder as files that other runtimes open."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import files
from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.printing import print_json, print_table, warn
from pytest_vdb.cli.session import SessionArguments, add_model_arguments, session_of
from pytest_vdb.errors import OptionError, UnknownName
from pytest_vdb.files import expanded, is_file, is_there

if TYPE_CHECKING:
    from pytest_vdb.bench.session import Session
    from pytest_vdb.models.card import ModelCard
    from pytest_vdb.models.onnx.backend import Part


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    export = commands.add_parser(
        "export",
        help="a model's denoiser and VAE decoder as ONNX files, checked against torch",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb export wan2.1-t2v-1.3b                                       its wiring, with tiny weights\n"
        "  vdb export wan2.1-t2v-1.3b --weights hub --recipe dtype=float32 --recipe frames=17\n"
        "  vdb export svd-xt --parts vae-decoder --output exports/svd\n\n"
        "Shapes are those of the recipe: a file answers these only. One short generation finds them.\n"
        "The exit status is 1 if any part was not exported. --to tensorrt is unverified.",
    )
    export.add_argument("models", metavar="MODEL", help="a model's name")
    export.add_argument("--to", choices=("onnx", "tensorrt"), default="onnx", help="default: %(default)s")
    add_model_arguments(export)
    export.add_argument("--parts", default="denoiser,vae-decoder", metavar="NAMES", help="default: %(default)s")
    export.add_argument("--output", "-o", type=expanded, metavar="DIR", help="default: exports/MODEL")
    export.add_argument("--json", action="store_true", help="print JSON instead of a table")
    export.set_defaults(command=Command(ExportArguments, _export))


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """One file, or the reason why there is none."""

    part: str
    network: str
    file: Path | None = None
    seconds: float | None = None
    """What exporting took, when it was done: a file from the cache keeps its time."""
    max_abs_difference: float | None = None
    """Between torch and onnxruntime, over all outputs of one call."""
    max_abs_value: float | None = None
    """Of torch's outputs: what the difference is to be seen against."""
    inputs: dict[str, Any] | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportArguments:
    """What `vdb export` was asked."""

    session: SessionArguments
    to: str
    parts: str
    output: Path | None
    json: bool


def _export(arguments: ExportArguments) -> int:
    from pytest_vdb.models.onnx import graphs, tensorrt

    names = _names_of_parts(arguments.parts)
    if arguments.to == "tensorrt":
        tensorrt.require_tensorrt()
        warn(tensorrt.WARNING)
    graphs.require_packages()
    session = session_of(arguments.session)
    card = session.registry.get(session.options.models)
    if card.pipeline is None:
        raise OptionError("is no diffusers pipeline, so there is nothing to export", where=f"model {card.name}")
    session.recipe(card)  # refuses before any loading
    output = arguments.output or Path("exports") / card.name
    files.check_writable(output / "model.onnx")  # before the export, which takes minutes
    exported = _export_parts(session, card, names, output)
    if arguments.to == "tensorrt":
        for found in exported:
            if found.file is not None:
                tensorrt.build(found.file, found.file.with_name("model.engine"))
    _print_exported(exported, as_json=arguments.json)
    return 0 if all(found.reason is None for found in exported) else 1


def _names_of_parts(text: str) -> tuple[str, ...]:
    from pytest_vdb.models.onnx.backend import PARTS

    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in PARTS:
            raise UnknownName("part", name, PARTS, where="--parts", mend=f"Known: {', '.join(PARTS)}.")
    return names


def _export_parts(session: Session, card: ModelCard, names: Sequence[str], output: Path) -> list[Exported]:
    """Export through the cache, so that a later `backend=onnx` finds the files there, and copy them."""
    from pytest_vdb.models.onnx import backend
    from pytest_vdb.models.pipelines.diffusers import DiffusersModel

    recipe, source = session.recipe(card), session.source
    model = session.registry.open(card, recipe, source)
    assert isinstance(model, DiffusersModel)
    try:
        parts = backend.install(
            model.pipeline,
            card,
            recipe,
            cache_dir=source.cache_dir / backend.FOLDER,
            device=source.device,
            names=names,
        )
        backend.try_out(model.generate, recipe, parts)
        return [found for part in parts for found in _copied(part, output)]
    finally:
        model.close()


def _copied(part: Part, output: Path) -> list[Exported]:
    network = type(part.network).__name__
    found = []
    for number, (folder, about) in enumerate(part.exports(), start=1):
        target = output / (part.name if number == 1 else f"{part.name}-{number}")
        _copy(folder, target)
        found.append(
            Exported(
                part=part.name,
                network=network,
                file=target / "model.onnx",
                seconds=about["export_s"],
                max_abs_difference=about["max_abs_difference"],
                max_abs_value=about["max_abs_value"],
                inputs=about["inputs"],
            )
        )
    if part.refused is not None:
        found.append(Exported(part=part.name, network=network, reason=part.refused))
    elif not found:
        found.append(Exported(part=part.name, network=network, reason="a short generation did not call it"))
    return found


def _copy(folder: Path, target: Path) -> None:
    """Replace an earlier export; anything else that lies there is left alone.

    Raises:
        OptionError: the folder holds something that is no export.
        OutputError: the disk does not take it.
    """
    if is_there(target) and not is_file(target / "about.json"):
        raise OptionError(f"{target} exists and is no export", where="--output", mend="name another folder")
    workshop: Path | None = None
    try:
        workshop = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=files.make_folder(target.parent)))
        shutil.copytree(folder, workshop / "made")
        if is_there(target):
            shutil.rmtree(target)
        (workshop / "made").rename(target)
    except OSError as problem:  # also shutil.Error, which is several of them
        raise files.cannot_write(target, problem) from problem
    finally:
        if workshop is not None:
            shutil.rmtree(workshop, ignore_errors=True)


def _print_exported(exported: Sequence[Exported], *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(found) for found in exported])
        return
    header = ("part", "network", "file", "export s", "max |torch - onnx|", "max |torch|")
    rows = [
        (
            found.part,
            found.network,
            found.file or f"none: {found.reason}",
            _figure(found.seconds, ".1f"),
            _figure(found.max_abs_difference, ".2g"),
            _figure(found.max_abs_value, ".2g"),
        )
        for found in exported
    ]
    print_table(header, rows)


def _figure(value: float | None, form: str) -> str | None:
    return None if value is None else format(value, form)
