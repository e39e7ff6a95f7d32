"""`vdb backbones`, `vdb fetch`: the networks that metrics look through, and getting their weights."""

from __future__ import annotations

import argparse
import fnmatch
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_vdb.cli.printing import print_json, print_table, show, warn
from pytest_vdb.errors import UnknownName, VdbError, WeightsMissing

if TYPE_CHECKING:
    from pytest_vdb.backbones.contract import BackboneSpec


def add_to(commands: Any) -> None:
    """Register the subcommands."""
    listing = commands.add_parser("backbones", help="the networks that metrics look through, and whether they are here")
    listing.add_argument("names", nargs="*", default=["all"], help="names, globs or all")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(command=_backbones)
    fetch = commands.add_parser("fetch", help="download the weights of metrics' networks")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="names, globs or all (see: vdb backbones)")
    fetch.add_argument("--dry-run", action="store_true", help="only say what would be downloaded")
    fetch.set_defaults(command=_fetch)


def _backbones(options: argparse.Namespace) -> int:
    from pytest_vdb.backbones import published
    from pytest_vdb.metrics.registry import MetricRegistry
    from pytest_vdb.options import cache_folder

    metrics = tuple(MetricRegistry.builtin())
    rows = []
    for spec in _select(options.names):
        found = published.find(spec, cache_dir=cache_folder())
        rows.append(
            {
                "backbone": spec.name,
                "about": spec.about,
                "MiB": spec.size_mib,
                "licence": spec.licence,
                "source": spec.repository,
                "here": None if found is None else str(found),
                "metrics": [metric.name for metric in metrics if spec.name in metric.backbones],
            }
        )
    if options.json:
        print_json(rows)
        return 0
    header = ("backbone", "MiB", "here", "licence", "what it is", "source")
    print_table(
        header,
        (
            (
                row["backbone"],
                f"{row['MiB']:g}",
                "yes" if row["here"] else "no",
                row["licence"],
                row["about"],
                _source(row),
            )
            for row in rows
        ),
    )
    show("get one with: vdb fetch NAME; or name a local file: --vdb-backbone NAME=PATH")
    return 0


def _source(row: dict[str, Any]) -> str:
    """Addresses of files are long: their host and name; `--json` has them whole."""
    source: str = row["source"]
    parts = source.removeprefix("https://").split("/")
    return f"{parts[0]}/…/{parts[-1]}" if source.startswith("https://") else f"hf.co/{source}"


def _fetch(options: argparse.Namespace) -> int:
    from pytest_vdb.backbones import published
    from pytest_vdb.options import cache_folder, is_offline

    cache_dir = cache_folder()
    wanted = _select(options.names)
    absent = [spec for spec in wanted if published.find(spec, cache_dir=cache_dir) is None]
    for spec in wanted:
        to_get = f"{spec.size_mib:g} MiB, {spec.licence}, from {spec.repository}"
        show(f"{spec.name:12} {to_get if spec in absent else 'is here already'}")
    show(f"to download: {sum(spec.size_mib for spec in absent):.3g} MiB")
    if options.dry_run or not absent:
        return 0
    if is_offline():
        raise WeightsMissing(
            "this session is offline (HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set)",
            where="vdb fetch",
            mend="unset it, or get the files elsewhere and name them: --vdb-backbone NAME=PATH",
        )
    fetched: list[str] = []
    for spec in absent:
        try:
            show(f"{spec.name:12} {published.fetch(spec, cache_dir=cache_dir)}")
            fetched.append(spec.name)
        except VdbError as error:
            warn(f"{spec.name}: {error}")
        except KeyboardInterrupt as stop:
            stop.add_note(f"{', '.join(fetched) or 'none'} of {len(absent)} fetched; the same command goes on")
            raise
    return 0 if len(fetched) == len(absent) else 1


def _select(names: Sequence[str]) -> tuple[BackboneSpec, ...]:
    """The networks of those names and globs, each once.

    Raises:
        UnknownName: with the names it may have meant.
    """
    from pytest_vdb.backbones.contract import BACKBONES

    chosen: dict[str, BackboneSpec] = {}
    for term in (term.strip() for given in names for term in given.split(",") if term.strip()):
        found = [name for name in BACKBONES if term == "all" or fnmatch.fnmatchcase(name, term)]
        if not found:
            raise UnknownName("network", term, BACKBONES, mend="`vdb backbones` lists them all.")
        chosen |= {name: BACKBONES[name] for name in found}
    return tuple(chosen.values())
