"""The session that a command's flags describe: the options of a pytest session, checked in the same place.

A command asks the session for its models, metrics, engines and weights.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_vdb.errors import MetricError, OptionError, VdbError
from pytest_vdb.places import raised_at

if TYPE_CHECKING:
    from pytest_vdb.bench.session import Session
    from pytest_vdb.metrics.contract import MetricSpec

COMMAND = "command"
"""The run of a command that records no run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionArguments:
    """What commands ask of a session, as a pytest session's flags are called; what a command does not take is unset."""

    models: str | None = None
    weights: str | None = None
    weights_dir: str | None = None
    recipe: tuple[str, ...] = ()
    metrics: str | None = None
    backbone: tuple[str, ...] = ()
    device: str = "auto"
    tiny: bool = False
    """Of metrics' networks; the weights of models have a mode."""
    sources: tuple[str, ...] = ()
    """Python files and modules with models and metrics of the user's own."""


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """What every command that opens a model takes: which weights, which recipe, where."""
    parser.add_argument("--weights", default="tiny", metavar="MODE", help="tiny (default), random, hub or local")
    parser.add_argument("--weights-dir", metavar="DIR", help="where --weights=local finds the weights")
    parser.add_argument("--recipe", action="append", default=[], metavar="KEY=VALUE", help="as --vdb-recipe")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default: %(default)s)")


def add_metric_arguments(parser: argparse.ArgumentParser) -> None:
    """What every command that measures takes: which metrics, through which networks, where."""
    parser.add_argument("--metrics", default="default", metavar="NAMES", help="as --vdb-metrics (%(default)s)")
    tagged = "a Python file or module that tags metrics with @metric; repeatable"
    parser.add_argument("--from", dest="sources", action="append", default=[], metavar="FILE", help=tagged)
    parser.add_argument("--backbone", action="append", default=[], metavar="NAME=PATH", help="a network's own weights")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default: %(default)s)")
    parser.add_argument("--tiny", action="store_true", help="tiny random networks: proves the wiring only")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def session_of(arguments: SessionArguments) -> Session:
    """What these flags describe; nothing is loaded.

    Raises:
        VdbError: a value that cannot be used (a batch is one), a device or network that there is not, a source that is
            no Python.
    """
    from pytest_vdb.bench.session import Session
    from pytest_vdb.cli.sources import imported
    from pytest_vdb.options import FLAGS, Given, read
    from pytest_vdb.results.environment import check_device

    given = {flag.name: getattr(arguments, flag.name.replace("-", "_"), None) for flag in FLAGS}
    given["weights"] = given["weights"] or ("tiny" if arguments.tiny else "hub")
    here = Path.cwd()
    check_device(arguments.device, where="--device")
    options = read(lambda flag: Given(given[flag.name], here, f"--{flag.name}"), root=here)
    if options.recipe.clips > 1:
        what = f"batch={options.recipe.batch} is for calls that are timed, and this command makes one clip in a call"
        raise OptionError(what, where="--recipe", mend="leave it away")
    modules = [imported(source) for source in arguments.sources]
    session = Session(options, run_id=COMMAND, tagged=lambda: modules)
    session.check_backbones(where="--backbone")
    return session


def chosen_metrics(session: Session) -> tuple[MetricSpec, ...]:
    """What `--metrics` chooses; `default` means the paired ones, too.

    Raises:
        UnknownName: a name that is not there.
    """
    return session.metric_registry.select(session.options.metrics, where="--metrics")


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
