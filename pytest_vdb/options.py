"""Flags and ini keys, turned at the door into one frozen `Options`. Below `plugin/` nobody sees `pytest.Config`.

Every option is one row of `FLAGS`: it becomes the flag `--vdb-NAME` and the typed ini key `vdb_NAME`; a flag wins over
the ini file, the ini file over the default. The table is also what `docs/options.md` is checked against.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from pytest_vdb.errors import OptionError, UnknownName

if TYPE_CHECKING:
    from pytest_vdb.records import Recipe, WeightsMode

CacheMode = Literal["only-missing", "always", "never", "only-cache"]

DEFAULT_MODELS = "tag:default"
"""Three diffusers pipelines and the calibration models: what a laptop without a network can run in a minute."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One option: `--vdb-NAME` and `vdb_NAME`."""

    name: str
    metavar: str
    help: str
    default: str | None = None
    repeatable: bool = False

    @property
    def flag(self) -> str:
        """As typed in a terminal."""
        return f"--vdb-{self.name}"

    @property
    def ini(self) -> str:
        """As written in an ini file; also the attribute that argparse stores it under."""
        return f"vdb_{self.name.replace('-', '_')}"


FLAGS: tuple[Flag, ...] = (
    Flag("models", "NAMES", "models to benchmark: names, globs, tag:TAG or all, comma-separated (see: vdb models)"),
    Flag("prompts", "SUITE", "a suite, SUITE:CATEGORY, SUITE:8 for its first 8, or a .jsonl/.txt/.csv file", "smoke"),
    Flag("samples", "N", "clips per model and prompt, each with its own seed", "1"),
    Flag("seed", "N", "base seed; a clip's seed depends on it, the prompt's id and the sample's index alone", "0"),
    Flag(
        "weights",
        "MODE",
        "hub: the published weights; local: folders under --vdb-weights-dir; random: full size, random values; "
        "tiny: shrunken, random values (default: hub when --vdb-models is given, else tiny)",
    ),
    Flag("weights-dir", "DIR", "where --vdb-weights=local finds DIR/MODEL (or DIR itself, if it is a pipeline)"),
    Flag("recipe", "KEY=VALUE", "a setting that changes pixels or speed, e.g. frames=17; repeatable", repeatable=True),
    Flag("metrics", "NAMES", "metrics to compute: names, globs, default or all, comma-separated", "default"),
    Flag("backbone", "NAME=PATH", "weights of a metric's network from a local file; repeatable", repeatable=True),
    Flag("reference", "NPZ", "what set metrics (FVD, KVD, ...) compare with: the file of `vdb reference build`"),
    Flag("device", "DEVICE", "cpu, cuda, cuda:N, mps or auto", "auto"),
    Flag("output", "DIR", "where runs and reports are written", "reports"),
    Flag(
        "cache",
        "MODE",
        "only-missing: reuse finished clips, generate the rest; always: generate all and store; "
        "never: neither read nor store; only-cache: generate nothing",
        "only-missing",
    ),
    Flag("cache-dir", "DIR", "where clips and tiny weights are kept (default: the user's cache folder)"),
    Flag("report", "FORMATS", "html, latex, csv, markdown, vbench, all or none, comma-separated", "all"),
    Flag("baseline", "PATH", "a run, or the JSON of `vdb baseline save`, to compare with after the tests"),
    Flag("fail-on", "RULES", "gates against the baseline, e.g. 'clip_similarity:-2%%,latency:+10%%'"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for, checked."""

    models: str
    prompts: str
    samples: int
    seed: int
    weights: WeightsMode
    weights_dir: Path | None
    recipe: Recipe
    metrics: str
    backbones: tuple[tuple[str, Path], ...]
    reference: Path | None
    device: str
    output: Path
    cache: CacheMode
    cache_dir: Path
    reports: tuple[str, ...]
    baseline: Path | None
    fail_on: str | None
    root: Path
    """The project's root: what relative paths in an ini file are relative to."""
    offline: bool

    def plain(self) -> dict[str, Any]:
        """For `run.json`: strings, numbers and dicts only."""
        return {
            "models": self.models,
            "prompts": self.prompts,
            "samples": self.samples,
            "seed": self.seed,
            "weights": self.weights,
            "weights_dir": None if self.weights_dir is None else str(self.weights_dir),
            "recipe": self.recipe.settings(),
            "metrics": self.metrics,
            "backbones": {name: str(path) for name, path in self.backbones},
            "reference": None if self.reference is None else str(self.reference),
            "device": self.device,
            "cache": self.cache,
            "reports": list(self.reports),
            "baseline": None if self.baseline is None else str(self.baseline),
            "fail_on": self.fail_on,
            "offline": self.offline,
        }


Lookup = Callable[[Flag], Any]
"""The value of a flag: from the command line, else from the ini file, else `None` (or an empty list)."""


def read(lookup: Lookup, *, root: Path) -> Options:
    """Check every value.

    Raises:
        OptionError, UnknownName, RecipeError: which option, its value, and what it may be.
    """
    from pytest_vdb.records import Recipe

    text = {flag.name: _text(lookup(flag), flag) for flag in FLAGS if not flag.repeatable}
    lists = {flag.name: [str(value) for value in lookup(flag) or ()] for flag in FLAGS if flag.repeatable}
    weights = text["weights"] or ("hub" if text["models"] else "tiny")
    return Options(
        models=text["models"] or DEFAULT_MODELS,
        prompts=str(text["prompts"]),
        samples=_whole(text["samples"], "--vdb-samples", least=1),
        seed=_whole(text["seed"], "--vdb-seed", least=0),
        weights=cast("WeightsMode", _choice(weights, "--vdb-weights", ("hub", "local", "random", "tiny"))),
        weights_dir=_folder(text["weights-dir"], "--vdb-weights-dir", needed=weights == "local"),
        recipe=Recipe.parse(lists["recipe"]),
        metrics=str(text["metrics"]),
        backbones=tuple(backbone_path(value, "--vdb-backbone") for value in lists["backbone"]),
        reference=None if text["reference"] is None else (root / text["reference"]).absolute(),
        device=str(text["device"]),
        output=(root / str(text["output"])).absolute(),
        cache=cast(CacheMode, _choice(text["cache"], "--vdb-cache", get_args(CacheMode))),
        cache_dir=cache_folder(text["cache-dir"]),
        reports=_reports(str(text["report"])),
        baseline=None if text["baseline"] is None else (root / text["baseline"]).absolute(),
        fail_on=text["fail-on"] or _project_gate(root / "pyproject.toml"),
        root=root,
        offline=is_offline(),
    )


_OFFLINE_SWITCHES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
REPORTS = ("html", "latex", "csv", "markdown", "vbench")


def _text(value: Any, flag: Flag) -> str | None:
    return str(value) if value not in (None, "") else flag.default


def _whole(text: str | None, where: str, *, least: int) -> int:
    try:
        number = int(str(text))
    except ValueError:
        number = least - 1
    if number < least:
        raise OptionError(f"{text!r}", where=where, mend=f"give a whole number of at least {least}")
    return number


def _choice(text: str | None, where: str, choices: tuple[str, ...]) -> str:
    if text not in choices:
        raise UnknownName("value", str(text), choices, where=where, mend=f"One of: {', '.join(choices)}.")
    return text


def _folder(text: str | None, where: str, *, needed: bool) -> Path | None:
    if text is None:
        if needed:
            raise OptionError("not given", where=where, mend="--vdb-weights=local needs the folder of the weights")
        return None
    path = Path(text).expanduser()
    if not path.is_dir():
        raise OptionError(f"{text!r} is not a folder", where=where, mend="give the folder that holds the weights")
    return path.absolute()


def is_offline() -> bool:
    """Whether the environment forbids downloads, by the Hugging Face libraries' own switches."""
    return any(os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"} for name in _OFFLINE_SWITCHES)


def backbone_path(text: str, where: str) -> tuple[str, Path]:
    """`NAME=PATH` as a network and the place of its weights.

    Raises:
        OptionError: no `=`, or nothing lies there.
    """
    name, equals, path = text.partition("=")
    if not equals or not Path(path).expanduser().exists():
        problem = "has no '='" if not equals else f"names {path!r}, which does not exist"
        raise OptionError(f"{text!r} {problem}", where=where, mend="write NAME=PATH, e.g. clip=weights.safetensors")
    return name, Path(path).expanduser().absolute()


def cache_folder(text: str | None = None) -> Path:
    """Where clips and weights are kept: what was given, `$VDB_CACHE_DIR`, or the user's cache folder."""
    chosen = text or os.environ.get("VDB_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("pytest-vdb"))


def _reports(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["none"]:
        return ()
    if names == ["all"]:
        return REPORTS
    for name in names:
        _choice(name, "--vdb-report", REPORTS)
    return tuple(names)


def _project_gate(pyproject: Path) -> str | None:
    """`[tool.vdb.gate]` of the project, as the text that `--vdb-fail-on` takes."""
    if not pyproject.is_file():
        return None
    try:
        gate = tomllib.loads(pyproject.read_text(encoding="utf-8")).get("tool", {}).get("vdb", {}).get("gate")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"not TOML: {error}", where=pyproject) from None
    if gate is None:
        return None
    if not isinstance(gate, dict) or not all(isinstance(limit, str) for limit in gate.values()):
        raise OptionError(
            f"{gate!r}", where=f"{pyproject}: [tool.vdb.gate]", mend='write one limit a line, e.g. latency = "+10%"'
        )
    return ",".join(f"{metric}:{limit}" for metric, limit in gate.items())
