"""Flags and ini keys, turned at the door into one frozen `Options`. Below `plugin/` nobody sees `pytest.Config`.

Every option is one row of `FLAGS`: it becomes the flag `--vdb-NAME` and the typed ini key `vdb_NAME`; a flag wins over
the ini file, the ini file over the default. The table is also what `docs/options.md` is checked against.

A path means what its place means by it: on the command line it is relative to the folder where the command was typed,
in an ini file to that file's folder.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from pytest_vdb.errors import OptionError, UnknownName
from pytest_vdb.files import expanded, is_file, is_folder, is_there

if TYPE_CHECKING:
    from pytest_vdb.privacy import Privacy
    from pytest_vdb.records import Recipe, WeightsMode
    from pytest_vdb.sweeps import Sweep

CacheMode = Literal["only-missing", "always", "never", "only-cache"]
ProgressMode = Literal["auto", "on", "off"]

DEFAULT_MODELS = "tag:default"
"""Three diffusers pipelines and the calibration models: what a laptop without a network can run in a minute."""


NOT_ASKED_RIGHTLY = 2
"""What commands that judge end with where they were asked wrongly, as argparse does: 1 is a regression."""
BLOCKS = 12
"""Of either side, where two versions run in turns: what catches 5% at a noise of 2% in nine of ten
(docs/statistics.md)."""
OF_JOBS = ("on", "job", "workers", "machines", "plan")
"""Options of a session that hands its tests out."""
IN_A_BLOCK = "VDB_IN_A_BLOCK"
"""Set in the sessions of blocks, which are not made of blocks themselves."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One option: `--vdb-NAME` and `vdb_NAME`."""

    name: str
    metavar: str
    help: str
    default: str | None = None
    repeatable: bool = False
    switch: bool = False
    """Whether it is given alone: `--vdb-strict`; in an ini file `vdb_strict = yes`."""

    @property
    def flag(self) -> str:
        """As typed in a terminal."""
        return f"--vdb-{self.name}"

    @property
    def ini(self) -> str:
        """As written in an ini file; also the attribute that argparse stores it under."""
        return f"vdb_{self.name.replace('-', '_')}"


FLAGS: tuple[Flag, ...] = (
    Flag(
        "models",
        "NAMES",
        "models to benchmark: names, globs, tag:TAG, fits:24GB or all, comma-separated (see: vdb models)",
    ),
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
    Flag(
        "recipe",
        "KEY=VALUE",
        "a setting that changes pixels or speed, e.g. frames=17, or a preset of them, e.g. ml-energy; repeatable",
        repeatable=True,
    ),
    Flag(
        "sweep",
        "KEY=VALUES",
        "several values of a setting, e.g. steps=10,20,50 or size=256,512,native: every model is run by each, and by "
        "every combination with other sweeps; repeatable",
        repeatable=True,
    ),
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
    Flag(
        "cache-dir",
        "DIR",
        "where clips and tiny weights are kept (default: the user's cache folder); an address (s3://bucket/cache) is "
        "where machines share their clips",
    ),
    Flag(
        "budget",
        "SIZE",
        "memory that one input file may take once decoded, e.g. 8GiB (default: $VDB_BUDGET, else an eighth of the "
        "machine's memory, at most 3 GiB)",
    ),
    Flag("report", "FORMATS", "formats of reports, comma-separated, e.g. html,csv; or all, or none; all,pdf", "all"),
    Flag(
        "overall",
        "SCORE",
        "an overall score in the standings: vbench.total and its like, or a weighted mean, NAME:WEIGHT,NAME:WEIGHT; "
        "what counts as 0 and as 1, where that is not 0 and 1: NAME:WEIGHT:WORST..BEST (default: none)",
    ),
    Flag(
        "baseline",
        "WHAT",
        "what to compare with after the tests: a run, the JSON of `vdb baseline save`, latest, branch:NAME (its latest "
        "run) or history:N (the latest N runs: costs need to know how much sessions differ)",
    ),
    Flag(
        "fail-on",
        "RULES",
        "gates against the baseline, e.g. 'clip_similarity:-2%%,latency:+10%%&0.5s,vbench.*@wan*:-0.01'",
    ),
    Flag("noise", "FILE", "what `vdb noise --save` wrote: a margin below its noise floor is said before anything runs"),
    Flag("strict", "", "fail on what the prompts at hand cannot tell, too", "no", switch=True),
    Flag(
        "stop-when-decided",
        "",
        "answer the prompts in a pinned random order, and skip tests that can no longer change any verdict of the gate",
        "no",
        switch=True,
    ),
    Flag(
        "ab", "REF", "run what lies here and this git ref in turns and judge them by --vdb-fail-on: see vdb ab --help"
    ),
    Flag("ab-blocks", "N", "with --vdb-ab: blocks of either side", str(BLOCKS)),
    Flag(
        "on",
        "ENGINE",
        "where the tests run: local, slurm, ray or kubernetes; this session hands them out as shards of a job and "
        "brings their records together (default: here)",
    ),
    Flag(
        "job", "URL", "with --vdb-on: the job's folder or address, e.g. s3://bucket/job (default: OUTPUT/jobs/DIGEST)"
    ),
    Flag("workers", "N", "with --vdb-on: shards that run at a time (default: a GPU each, else one)"),
    Flag("machines", "FILE", "with --vdb-on: TOML with a table of settings for each engine"),
    Flag("plan", "", "with --vdb-on: say what the job would be, and run nothing", "no", switch=True),
    Flag("shard", "URL", "run this shard of a job alone, go on where others stopped, and store what it does"),
    Flag(
        "progress",
        "WHEN",
        "what runs now, its step, memory and watts, and the time that is left, below pytest's own lines: auto: on a "
        "terminal; on: also in a log, every half minute; off",
        "auto",
    ),
    Flag("memory-rate", "HZ", "keep a timeline of each call's memory: looks per second, e.g. 10 (default: none)"),
    Flag("price-gpu-hour", "PRICE", "what one GPU costs for an hour, e.g. 2.5USD: clips then have a hardware_cost"),
    Flag("price-kwh", "PRICE", "what a kilowatt-hour costs, e.g. 0.30EUR: clips then have an energy_cost"),
    Flag("grid-intensity", "GRAMS", "grams of CO2e of a kilowatt-hour, e.g. 380: clips then have emissions"),
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
    sweep: Sweep
    metrics: str
    backbones: tuple[tuple[str, Path], ...]
    reference: Path | None
    device: str
    output: Path
    cache: CacheMode
    cache_dir: Path
    """Of this machine."""
    clips: str | None
    """An address at which machines share their clips, behind `cache_dir`; None: they do not."""
    report: str
    """Formats of reports as they were named: `pytest_vdb.reporters.formats` knows which there are."""
    overall: str | None
    """A score over several metrics as it was asked for: `pytest_vdb.analysis.overall` knows what can be."""
    baseline: str | None
    """An absolute path, `latest`, `branch:NAME` or `history:N`."""
    fail_on: str | None
    noise: Path | None
    """What `vdb noise --save` wrote."""
    strict: bool
    stop_when_decided: bool
    """As given; see `may_stop`."""
    on: str | None
    """Which engine runs the tests; None: they run here."""
    job: str | None
    """An absolute folder, or an address; None: in the output folder."""
    workers: int | None
    machines: Path | None
    plan: bool
    shard: str | None
    progress: ProgressMode
    memory_rate_hz: float | None
    """Looks at memory per second; None: no timeline."""
    price_gpu_hour: tuple[float, str] | None
    """Amount and currency."""
    price_kwh: tuple[float, str] | None
    grid_intensity: float | None
    """Grams of CO2e of a kilowatt-hour."""
    budget: int | None
    """Bytes that one input may take once decoded; None: the default."""
    root: Path
    """The project's folder: that of its ini file, else where the command was typed."""
    models_folder: Path
    """What a relative `recordings:FOLDER` among the models is relative to."""
    prompts_folder: Path
    """What a relative file of prompts is relative to."""
    offline: bool

    @property
    def may_stop(self) -> bool:
        """Whether a gate may end a model's tests: without a baseline there is none."""
        return self.stop_when_decided and self.baseline is not None

    @property
    def devices_of_a_clip(self) -> int:
        """By the recipe's `parallel`, and by those of a sweep the most: so many GPUs a worker needs."""
        from pytest_vdb import sweeps

        recipes = (self.recipe, *(point.over(self.recipe) for point in sweeps.points(self.sweep)))
        return max(recipe.devices for recipe in recipes)

    def plain(self, privacy: Privacy) -> dict[str, Any]:
        """For `run.json`: strings, numbers and dicts only; paths relative to the project, or their names alone."""
        plain = {
            "models": privacy.text(self.models),
            "prompts": privacy.text(self.prompts),
            "samples": self.samples,
            "seed": self.seed,
            "weights": self.weights,
            "weights_dir": self.weights_dir and privacy.path(self.weights_dir),
            "recipe": privacy.plain(self.recipe.settings()),
            "sweep": privacy.plain({setting: ",".join(values) for setting, values in self.sweep}),
            "metrics": self.metrics,
            "backbones": {name: privacy.path(path) for name, path in self.backbones},
            "reference": self.reference and privacy.path(self.reference),
            "device": self.device,
            "cache": self.cache,
            "report": self.report,
            "overall": self.overall,
            "baseline": self.baseline if of_runs(self.baseline or "") else _path_told(self.baseline, privacy),
            "fail_on": self.fail_on,
            "noise": self.noise and privacy.path(self.noise),
            "strict": self.strict,
            "stop_when_decided": self.stop_when_decided,
            "on": self.on,
            "memory_rate": _number_told(self.memory_rate_hz),
            "price_gpu_hour": _price_told(self.price_gpu_hour),
            "price_kwh": _price_told(self.price_kwh),
            "grid_intensity": _number_told(self.grid_intensity),
        }
        return {"command": _command(plain), **plain, "offline": self.offline}


_CALLED = {"backbones": "backbone"}
"""What `Options` and its flag call differently."""


def _command(plain: Mapping[str, Any]) -> str:
    """The session as typed in a terminal: this plugin's flags, without those at their defaults."""
    usual: dict[str, Any] = {flag.name: flag.default for flag in FLAGS} | {"models": DEFAULT_MODELS}
    usual["weights"] = "tiny" if plain["models"] == DEFAULT_MODELS else "hub"
    words = ["pytest"]
    for key, value in plain.items():
        name = _CALLED.get(key, key.replace("_", "-"))
        if isinstance(value, Mapping):
            words += [f"--vdb-{name}={setting}={one}" for setting, one in value.items()]
        elif isinstance(value, bool):
            words += [f"--vdb-{name}"] if value else []
        elif value is not None:
            words += [] if str(value) == usual[name] else [f"--vdb-{name}={value}"]
    return shlex.join(words)


@dataclass(frozen=True, slots=True)
class Given:
    """The value of one option, and where it stands."""

    value: Any
    """Text, or a list of texts; None: only the default."""
    folder: Path
    """What a relative path in it is relative to."""
    where: str
    """`--vdb-seed`, or `vdb_seed in pytest.ini`: for messages."""

    def text(self, default: str | None = None) -> str | None:
        """As text; blank counts as not given."""
        return str(self.value) if self.value not in (None, "", []) else default

    def path(self, default: str | None = None) -> Path | None:
        """As an absolute path."""
        text = self.text(default)
        return None if text is None else absolute(text, self.folder)


Lookup = Callable[[Flag], Given]
"""Where the value of a flag stands: on the command line, else in the ini file."""


def read(lookup: Lookup, *, root: Path) -> Options:
    """Check every value.

    Args:
        lookup: where each option's value stands.
        root: the project's folder.

    Raises:
        OptionError, UnknownName, RecipeError: which option, where it stands, its value, and what it may be.
    """
    from pytest_vdb import sweeps

    given = {flag.name: lookup(flag) for flag in FLAGS}
    text = {flag.name: given[flag.name].text(flag.default) for flag in FLAGS if not flag.repeatable}
    weights = _choice(text["weights"] or ("hub" if text["models"] else "tiny"), given["weights"], _WEIGHTS)
    sweep = sweeps.parse(map(str, given["sweep"].value or ()), where=given["sweep"].where)
    if sweep and _is_on(given["stop-when-decided"]):
        mend = "a sweep asks what each of its points costs: leave --vdb-stop-when-decided away"
        raise OptionError("no test can be left out", where=given["sweep"].where, mend=mend)
    output = given["output"].path("reports")
    assert output is not None
    return Options(
        models=text["models"] or DEFAULT_MODELS,
        prompts=str(text["prompts"]),
        samples=_whole_number(text["samples"], given["samples"], least=1),
        seed=_whole_number(text["seed"], given["seed"], least=0),
        weights=cast("WeightsMode", weights),
        weights_dir=_weights_dir(given["weights-dir"], needed=weights == "local"),
        recipe=_recipe(given["recipe"]),
        sweep=sweep,
        metrics=str(text["metrics"]),
        backbones=tuple(
            backbone_path(str(value), given["backbone"].where, folder=given["backbone"].folder)
            for value in given["backbone"].value or ()
        ),
        reference=given["reference"].path(),
        device=str(text["device"]),
        output=output,
        cache=cast(CacheMode, _choice(text["cache"], given["cache"], get_args(CacheMode))),
        cache_dir=_cache_of_this_machine(given["cache-dir"]),
        clips=_shared_cache(given["cache-dir"]),
        report=str(text["report"]),
        overall=text["overall"],
        baseline=text["baseline"] if of_runs(text["baseline"] or "") else _as_text(given["baseline"].path()),
        fail_on=text["fail-on"] or project_gate(root / "pyproject.toml"),
        noise=given["noise"].path(),
        strict=_is_on(given["strict"]),
        stop_when_decided=_is_on(given["stop-when-decided"]),
        on=text["on"],
        job=address(given["job"]),
        workers=_workers(given["workers"]),
        machines=given["machines"].path(),
        plan=_is_on(given["plan"]),
        shard=address(given["shard"]),
        progress=cast(ProgressMode, _choice(text["progress"], given["progress"], get_args(ProgressMode))),
        memory_rate_hz=_positive(given["memory-rate"], most=1000),
        price_gpu_hour=_price_given(given["price-gpu-hour"]),
        price_kwh=_price_given(given["price-kwh"]),
        grid_intensity=_positive(given["grid-intensity"]),
        budget=_bytes_of(given["budget"]),
        root=root,
        models_folder=given["models"].folder,
        prompts_folder=given["prompts"].folder,
        offline=is_offline(),
    )


def absolute(path: str | Path, folder: Path) -> Path:
    """A path as its author means it: `~` is the home folder, and what is relative is relative to `folder`."""
    return (folder / expanded(path)).absolute()


_WEIGHTS = ("hub", "local", "random", "tiny")
_OFFLINE_SWITCHES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def _whole_number(text: str | None, given: Given, *, least: int) -> int:
    try:
        number = int(str(text))
    except ValueError:
        number = least - 1
    if number < least:
        raise OptionError(f"{text!r}", where=given.where, mend=f"give a whole number of at least {least}")
    return number


_PRICE = re.compile(r"(?P<amount>\d+(\.\d*)?|\.\d+)\s*(?P<currency>[^\d\s.]{0,8})")


def price(text: str, *, where: str) -> tuple[float, str]:
    """`2.5USD` as an amount and a currency, which is `money` where none is written.

    Raises:
        OptionError: no price.
    """
    match = _PRICE.fullmatch(text.strip())
    if match is None:
        raise OptionError(f"{text!r} is no price", where=where, mend="write an amount and a currency: 2.5USD")
    return float(match["amount"]), match["currency"] or "money"


def _price_given(given: Given) -> tuple[float, str] | None:
    text = given.text()
    return None if text is None else price(text, where=given.where)


def address(given: Given) -> str | None:
    """A folder or file as an absolute path; an address as it is."""
    text = given.text()
    return text if text is None or _is_address(text) else _as_text(given.path())


def _cache_of_this_machine(given: Given) -> Path:
    return cache_folder() if _is_address(given.text()) else given.path() or cache_folder()


def _shared_cache(given: Given) -> str | None:
    text = given.text()
    return text.rstrip("/") if text is not None and _is_address(text) else None


def _is_address(text: str | None) -> bool:
    return text is not None and "://" in text


def _workers(given: Given) -> int | None:
    text = given.text()
    return None if text is None else _whole_number(text, given, least=1)


def _positive(given: Given, *, most: float = float("inf")) -> float | None:
    """A number above 0."""
    text = given.text()
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= most or number == float("inf"):
        above = "above 0" if most == float("inf") else f"above 0, at most {most:g}"
        raise OptionError(f"{text!r}", where=given.where, mend=f"give a number {above}")
    return number


def _number_told(number: float | None) -> str | None:
    return None if number is None else f"{number:g}"


def _price_told(price: tuple[float, str] | None) -> str | None:
    return None if price is None else f"{price[0]:g}{'' if price[1] == 'money' else price[1]}"


def _choice(text: str | None, given: Given, choices: tuple[str, ...]) -> str:
    if text not in choices:
        raise UnknownName("value", str(text), choices, where=given.where, mend=f"One of: {', '.join(choices)}.")
    return text


def _is_on(given: Given) -> bool:
    """Of a switch."""
    return _choice(given.text("no"), given, ("yes", "no")) == "yes"


def _weights_dir(given: Given, *, needed: bool) -> Path | None:
    folder = given.path()
    if folder is None:
        if needed:
            raise OptionError(
                "not given", where=given.where, mend="--vdb-weights=local needs the folder of the weights"
            )
        return None
    if not is_folder(folder):
        mend = "give the folder that holds the weights"
        raise OptionError(f"{given.text()!r} is not a folder", where=given.where, mend=mend)
    return folder


def _recipe(given: Given) -> Recipe:
    """The recipe; a LoRA that an ini file names beside itself is found from everywhere."""
    from pytest_vdb import presets
    from pytest_vdb.records import Recipe

    settings = presets.expanded(map(str, given.value or ()), where=given.where)
    recipe = Recipe.parse(settings, where=given.where)
    if recipe.lora is None or given.folder == Path.cwd() or not os.path.exists(given.folder / recipe.lora):  # noqa: PTH110
        return recipe
    return replace(recipe, lora=os.path.relpath(given.folder / recipe.lora))


def _bytes_of(given: Given) -> int | None:
    from pytest_vdb import budget

    text = given.text()
    return None if text is None else budget.parse(text, where=given.where)


def is_offline() -> bool:
    """Whether the environment forbids downloads, by the Hugging Face libraries' own switches."""
    return any(os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"} for name in _OFFLINE_SWITCHES)


def backbone_path(text: str, where: str, *, folder: Path | None = None) -> tuple[str, Path]:
    """`NAME=PATH` as a network and the place of its weights.

    Args:
        folder: what a relative path is relative to; the working folder if not given.

    Raises:
        OptionError: no `=`, or nothing lies there.
    """
    name, equals, path = text.partition("=")
    place = absolute(path, folder or Path.cwd())
    if not equals or not path or not is_there(place):
        problem = "has no '='" if not equals else f"names {path!r}, which does not exist"
        raise OptionError(f"{text!r} {problem}", where=where, mend="write NAME=PATH, e.g. clip=weights.safetensors")
    return name.strip(), place


def cache_folder(text: str | None = None) -> Path:
    """Where clips and weights are kept: what was given, `$VDB_CACHE_DIR`, or the user's cache folder.

    Raises:
        OptionError: an address.
    """
    chosen = text or os.environ.get("VDB_CACHE_DIR")
    if _is_address(chosen):
        mend = "give a folder; clips are shared at an address by --vdb-cache-dir=ADDRESS"
        raise OptionError(f"{chosen!r} is an address", where="VDB_CACHE_DIR", mend=mend)
    if chosen:
        return expanded(chosen).absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("pytest-vdb"))


_OF_RUNS = re.compile(r"latest|branch:.+|history:[1-9]\d*")


def of_runs(baseline: str) -> bool:
    """Whether a baseline is looked for among the runs: `latest`, `branch:NAME`, `history:N`; else it is a path."""
    return _OF_RUNS.fullmatch(baseline) is not None


def _as_text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _path_told(path: str | None, privacy: Privacy) -> str | None:
    return None if path is None else privacy.path(Path(path))


def project_gate(pyproject: Path) -> str | None:
    """`[tool.vdb.gate]` of the project, as the text that `--vdb-fail-on` takes."""
    if not is_file(pyproject):
        return None
    from pytest_vdb.files import read_toml

    section: Any = read_toml(pyproject, error=OptionError)
    for part in ("tool", "vdb"):
        section = section.get(part, {})
        if not isinstance(section, dict):
            raise OptionError(f"[{part}] is {section!r}, no table", where=pyproject, mend="write [tool.vdb.gate]")
    gate = section.get("gate")
    if gate is None:
        return None
    if not isinstance(gate, dict) or not all(isinstance(limit, str) for limit in gate.values()):
        raise OptionError(
            f"{gate!r}", where=f"{pyproject}: [tool.vdb.gate]", mend='write one limit a line, e.g. latency = "+10%"'
        )
    return ",".join(f"{metric}:{limit}" for metric, limit in gate.items())
