"""`vdb backbones`, `vdb fetch`: the networks that metrics look through, and getting their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.printing import print_json, print_table, show, warn
from pytest_vdb.errors import VdbError, WeightsMissing

if TYPE_CHECKING:
    from pytest_vdb.metrics.registry import MetricRegistry


def add_to(commands: Any) -> None:
    """Register the subcommands."""
    listing = commands.add_parser("backbones", help="the networks that metrics look through, and whether they are here")
    listing.add_argument("names", nargs="*", default=["all"], help="names, globs or all")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(command=Command(BackbonesArguments, _backbones))
    fetch = commands.add_parser("fetch", help="download the weights of metrics' networks")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="names, globs or all (see: vdb backbones)")
    fetch.add_argument("--dry-run", action="store_true", help="only say what would be downloaded")
    fetch.set_defaults(command=Command(FetchArguments, _fetch))
    tagged = "a Python file or module that tags networks with @backbone; repeatable"
    for command in (listing, fetch):
        command.add_argument("--from", dest="sources", action="append", default=[], metavar="FILE", help=tagged)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackbonesArguments:
    """What `vdb backbones` was asked."""

    names: tuple[str, ...]
    sources: tuple[str, ...]
    json: bool


def _backbones(arguments: BackbonesArguments) -> int:
    from pytest_vdb.backbones import published
    from pytest_vdb.options import cache_folder
    from pytest_vdb.places import where_is

    registry = _registry(arguments.sources)
    rows = []
    for spec in registry.backbones.select(",".join(arguments.names)):
        found = published.find(spec, cache_dir=cache_folder()) if spec.repository else where_is(spec.opens)
        rows.append(
            {
                "backbone": spec.name,
                "about": spec.about,
                "MiB": spec.size_mib,
                "licence": spec.licence,
                "source": spec.repository or where_is(spec.opens),
                "here": None if found is None else str(found),
                "metrics": [metric.name for metric in registry if spec in metric.networks],
            }
        )
    if arguments.json:
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
                _short_source(row),
            )
            for row in rows
        ),
    )
    show("get one with: vdb fetch NAME; or name a local file: --vdb-backbone NAME=PATH")
    return 0


def _short_source(row: dict[str, Any]) -> str:
    """Addresses of files are long: their host and name; `--json` has them whole."""
    source: str = row["source"]
    parts = source.removeprefix("https://").split("/")
    if source == row["here"]:  # a network of the user's that publishes nothing: where it stands
        return source
    return f"{parts[0]}/…/{parts[-1]}" if source.startswith("https://") else f"hf.co/{source}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchArguments:
    """What `vdb fetch` was asked."""

    names: tuple[str, ...]
    sources: tuple[str, ...]
    dry_run: bool


def _fetch(arguments: FetchArguments) -> int:
    from pytest_vdb.backbones import published
    from pytest_vdb.options import cache_folder, is_offline

    cache_dir = cache_folder()
    wanted = _registry(arguments.sources).backbones.select(",".join(arguments.names))
    absent = [spec for spec in wanted if not published.is_here(spec, cache_dir=cache_dir)]
    for spec in wanted:
        to_get = f"{spec.size_mib:g} MiB, {spec.licence}, from {spec.repository}"
        show(f"{spec.name:12} {to_get if spec in absent else 'is here already'}")
    show(f"to download: {sum(spec.size_mib for spec in absent):.3g} MiB")
    if arguments.dry_run or not absent:
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


def _registry(sources: Sequence[str]) -> MetricRegistry:
    """Our metrics and networks, and those that `--from` tags."""
    from pytest_vdb.cli.sources import imported
    from pytest_vdb.metrics.registry import MetricRegistry

    registry = MetricRegistry.builtin()
    for source in sources:
        registry.add_from(imported(source))
    return registry
