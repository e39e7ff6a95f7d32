"""The engine that a command's flags describe: which metrics, through which networks, where."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_vdb.errors import MetricError, UnknownName, VdbError
from pytest_vdb.places import raised_at

if TYPE_CHECKING:
    from pytest_vdb.metrics.contract import MetricSpec
    from pytest_vdb.metrics.engine import Engine
    from pytest_vdb.metrics.registry import MetricRegistry


def add_metric_arguments(parser: argparse.ArgumentParser) -> None:
    """What every command that measures takes: which metrics, through which networks, where."""
    parser.add_argument("--metrics", default="default", metavar="NAMES", help="as --vdb-metrics (%(default)s)")
    tagged = "a Python file or module that tags metrics with @metric; repeatable"
    parser.add_argument("--from", dest="sources", action="append", default=[], metavar="FILE", help=tagged)
    parser.add_argument("--backbone", action="append", default=[], metavar="NAME=PATH", help="a network's own weights")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default: %(default)s)")
    parser.add_argument("--tiny", action="store_true", help="tiny random networks: proves the wiring only")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def chosen_metrics(options: argparse.Namespace) -> tuple[MetricSpec, ...]:
    """What `--metrics` chooses of ours and of those that `--from` brings; `default` means the paired ones, too.

    Raises:
        UnknownName, OptionError: a name or a file that is not there.
    """
    return metric_registry(options).select(options.metrics, where="--metrics")


def metric_registry(options: argparse.Namespace) -> MetricRegistry:
    """Our metrics and those that `--from` brings."""
    from pytest_vdb.cli.sources import imported
    from pytest_vdb.metrics.registry import MetricRegistry

    registry = MetricRegistry.builtin()
    for source in options.sources:
        registry.add_from(imported(source))
    return registry


def open_engine(specs: Sequence[MetricSpec], options: argparse.Namespace) -> Engine:
    """The engine that `--backbone`, `--device` and `--tiny` describe.

    Raises:
        UnknownName, OptionError: a device or network that there is not, or weights that are not where they should be.
    """
    from pytest_vdb.metrics.engine import Engine
    from pytest_vdb.options import cache_folder, is_offline
    from pytest_vdb.results.environment import check_device, device_here

    check_device(options.device, where="--device")
    return Engine(
        specs,
        device=device_here(options.device),
        tiny=options.tiny,
        backbone_paths=named_weights(options),
        cache_dir=cache_folder(),
        offline=is_offline(),
    )


@contextlib.contextmanager
def errors_of_metrics() -> Iterator[None]:
    """What a metric of the user's own raises is said with its line, and ends in no traceback.

    Raises:
        MetricError: what was raised in the user's files.
    """
    try:
        yield
    except VdbError:
        raise
    except Exception as error:
        where = raised_at(error)
        if where is None:
            raise
        doing = "; ".join(getattr(error, "__notes__", ()))
        said = f"{type(error).__name__}: {error}{f' ({doing})' if doing else ''}"
        raise MetricError(said, where=where, mend="mend the metric, or leave it out: --metrics") from error


def named_weights(options: argparse.Namespace) -> dict[str, Path]:
    """What `--backbone NAME=PATH` says.

    Raises:
        UnknownName: no network of that name.
        OptionError: nothing lies there.
    """
    from pytest_vdb.metrics.features import BACKBONES
    from pytest_vdb.options import backbone_path

    named = dict(backbone_path(value, "--backbone") for value in options.backbone)
    for name in named:
        if name not in BACKBONES:
            raise UnknownName("network", name, BACKBONES, where="--backbone", mend="`vdb backbones` lists them all.")
    return named
