"""Every file and option that is read, damaged in every way: it is read, or refused by its name, at once and in little.

A command that ends with 1 names the file; one that ends with 0 has said which lines it could not read.
"""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import damage
import pytest
from commands import BROKEN, Place, lines_of
from filelock import FileLock
from inputs import make_inputs, make_pipeline
from projects import CONFTEST, GENERATION

from pytest_vdb.analysis.gate import EXIT_CODES
from pytest_vdb.cli import main
from pytest_vdb.errors import VdbError
from pytest_vdb.models.pipelines.loading import load_pipeline
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.records import Recipe

pytestmark = pytest.mark.slow

SOON = pytest.mark.timeout(20, func_only=True)
LITTLE_KIB = 4 * 2**20


@contextmanager
def within_little_memory() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < LITTLE_KIB * (1 if sys.platform == "linux" else 2**10), f"took {grown / 2**20:.1f} GB"


# The files ------------------------------------------------------------------------------------------------------------


def made_once(base: Path, name: str, make: Callable[[Path], None]) -> Path:
    """Made by the first process that asks for it; the others wait."""
    folder = base / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            part = base / f"{name}.part"
            shutil.rmtree(part, ignore_errors=True)
            make(part)
            part.rename(folder)
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of a session."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own


@pytest.fixture(scope="session")
def valid(base: Path, environment_of: Callable[[Path], dict[str, str]]) -> Path:
    """One valid file of every kind."""

    def make(folder: Path) -> None:
        folder.mkdir()
        make_inputs(Place(folder, environment_of(folder)))

    return made_once(base, "valid-inputs", make)


@pytest.fixture(scope="session")
def pipeline(base: Path) -> Path:
    """A folder of weights as diffusers writes it."""
    return made_once(base, "valid-pipeline", make_pipeline)


# The kinds ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A command that reads a damaged file."""

    command: list[str | Path]
    named: str
    """What the message must name where the command ends with 1."""
    ledger: Path | None = None
    """A file whose unreadable lines may not vanish without a word."""


Kind = Callable[[Path, Path, random.Random], Case]
KINDS: dict[str, Kind] = {}


def kind(damaged: Kind) -> Kind:
    """A kind of input, by its function's name."""
    KINDS[damaged.__name__] = damaged
    return damaged


BY_SUFFIX = {
    ".jsonl": damage.damaged_lines,
    ".json": damage.damaged_json,
    ".csv": damage.damaged_csv,
    ".txt": damage.damaged_bytes,
}


def damaged_copy(source: Path, out: Path, chance: random.Random) -> Path:
    """A damaged file of a valid one's kind, called `damaged.*`."""
    made = out / f"damaged{source.suffix}"
    made.write_bytes(BY_SUFFIX[source.suffix](source.read_bytes(), chance))
    return made


def damaged_run(valid: Path, out: Path, chance: random.Random) -> tuple[Path, Path]:
    """A run whose records or whose `run.json` are damaged, and which file it is."""
    run = out / "run"
    shutil.copytree(valid / "run", run)
    file = run / chance.choices(["records.jsonl", "run.json"], [7, 3])[0]
    file.write_bytes(BY_SUFFIX[file.suffix](file.read_bytes(), chance))
    return run, file


def ledger_of(file: Path) -> Path | None:
    """The file, if it is one of lines."""
    return file if file.suffix == ".jsonl" else None


@kind
def prompts(valid: Path, out: Path, chance: random.Random) -> Case:
    suffix = chance.choice(["jsonl", "jsonl", "csv", "txt", "json"])
    file = damaged_copy(valid / f"prompts.{suffix}", out, chance)
    return Case(["prompts", file, *chance.choice([(), ("--json",), ("--vbench",)])], file.name)


@kind
def manifest(valid: Path, out: Path, chance: random.Random) -> Case:
    file = damaged_copy(valid / f"manifest.{chance.choice(['jsonl', 'csv'])}", out, chance)
    return Case(["score", valid / "clips", "--prompts", file, "--metrics", "sharpness", "-o", "s.jsonl"], file.name)


@kind
def run_reported(valid: Path, out: Path, chance: random.Random) -> Case:
    run, file = damaged_run(valid, out, chance)
    return Case(["report", run, "-o", "page"], file.name, ledger_of(file))


@kind
def run_compared(valid: Path, out: Path, chance: random.Random) -> Case:
    run, file = damaged_run(valid, out, chance)
    sets = ("--reference", valid / "real.npz", "--permutations", "9", "--json")
    others = chance.choice([("fast-a", "fast-b"), (valid / "run",), ("fast-a", "fast-b", *sets)])
    return Case(["compare", run, *others], file.name, ledger_of(file))


@kind
def run_as_baseline(valid: Path, out: Path, chance: random.Random) -> Case:
    run, file = damaged_run(valid, out, chance)
    return Case(["baseline", "save", run, "-o", "base.json"], file.name, ledger_of(file))


@kind
def ledger(valid: Path, out: Path, chance: random.Random) -> Case:
    for name in ("s.jsonl", "s.run.json"):
        shutil.copy(valid / "scores" / name, out)
    file = out / chance.choice(["s.jsonl", "s.run.json"])
    file.write_bytes(BY_SUFFIX[file.suffix](file.read_bytes(), chance))
    goes_on: list[str | Path] = ["score", valid / "clips", "--metrics", "sharpness,fvd", "--tiny", "-o", "s.jsonl"]
    reports: list[str | Path] = ["report", "s.jsonl", "-o", "page"]
    compares: list[str | Path] = ["compare", "s.jsonl", valid / "scores" / "s.jsonl"]
    command = chance.choice([goes_on, reports, compares])
    return Case(command, file.name, None if command is goes_on else ledger_of(file))


def _damage_a_feature(folder: Path, chance: random.Random) -> Path:
    file = chance.choice(sorted(folder.iterdir()))
    damage.damage_npz(file, file, chance)
    return file


@kind
def features_of_a_run(valid: Path, out: Path, chance: random.Random) -> Case:
    shutil.copytree(valid / "run", out / "run")
    file = _damage_a_feature(out / "run" / "features", chance)
    sets = ("--reference", valid / "real.npz", "--permutations", "9")
    return Case(["compare", "run", "fast-a", "fast-b", *sets], file.name)


@kind
def features_of_a_ledger(valid: Path, out: Path, chance: random.Random) -> Case:
    shutil.copytree(valid / "scores", out / "scores")
    _damage_a_feature(out / "scores" / "s.features", chance)
    sets = ("--tiny", "--reference", valid / "real.npz", "--model", "m")
    command = ["score", valid / "clips", "--metrics", "sharpness,fvd,kvd", *sets, "-o", "scores/s.jsonl"]
    return Case(command, "")  # they are computed again, or the metric says why not


@kind
def reference(valid: Path, out: Path, chance: random.Random) -> Case:
    file = out / "damaged.npz"
    damage.damage_npz(valid / "real.npz", file, chance)
    if chance.random() < 0.5:
        compare = ["compare", valid / "run", "fast-a", "fast-b", "--reference", file, "--permutations", "9"]
        return Case(compare, file.name)
    score = ["score", valid / "clips", "--metrics", "fvd,kvd", "--tiny", "--reference", file, "-o", "s.jsonl"]
    return Case(score, file.name)


@kind
def vbench_results(valid: Path, out: Path, chance: random.Random) -> Case:
    file = out / "damaged_eval_results.json"
    file.write_bytes(damage.damaged_json((valid / "others_eval_results.json").read_bytes(), chance))
    return Case(["report", file, *chance.choice([(), (valid / "run",)]), "-o", "page"], file.name)


@kind
def ratings(valid: Path, out: Path, chance: random.Random) -> Case:
    command: list[str | Path] = ["validate", "sharpness", "--resamples", "5", "--human"]
    if chance.random() < 0.2:
        run, file = damaged_run(valid, out, chance)
        return Case([*command, valid / "human.csv", "--scores", run], file.name)
    file = damaged_copy(valid / f"human.{chance.choice(['json', 'csv', 'jsonl'])}", out, chance)
    return Case([*command, file, "--scores", valid / "run"], file.name)


@kind
def clip(valid: Path, out: Path, chance: random.Random) -> Case:
    names = ("clip.mp4", "clip.gif", "clip.npy", "clip.npz", "clips/p00.mkv")
    source = valid / chance.choice(names)
    file = out / f"damaged{source.suffix}"
    match source.suffix:
        case ".npy":
            damage.damage_npy(source, file, chance)
        case ".npz":
            damage.damage_npz(source, file, chance)
        case _:
            file.write_bytes(damage.damaged_bytes(source.read_bytes(), chance))
    return Case(["score", file, "--metrics", "sharpness,temporal_flicker", "-o", "s.jsonl"], file.name)


@kind
def frames(valid: Path, out: Path, chance: random.Random) -> Case:
    """A folder of images, of which one is damaged."""
    source = valid / chance.choice(["frame.png", "frame.jpg"])
    folder = out / "clips" / "frames"
    folder.mkdir(parents=True)
    for number in range(3):
        shutil.copy(source, folder / f"{number}{source.suffix}")
    (folder / f"3{source.suffix}").write_bytes(damage.damaged_bytes(source.read_bytes(), chance))
    return Case(["score", "clips", "--metrics", "sharpness,temporal_flicker", "-o", "s.jsonl"], "frames")


NETWORKS = {
    "aesthetic": "vbench.aesthetic_quality",
    "amt": "vbench.motion_smoothness",
    "clip": "clip_similarity",
    "dino": "dino_consistency",
    "i3d": "fvd",
    "lpips": "lpips",
    "musiq": "vbench.imaging_quality",
    "niqe": "niqe",
    "raft": "motion_smoothness",
}


@kind
def weights_of_a_network(valid: Path, out: Path, chance: random.Random) -> Case:
    network = chance.choice(sorted(NETWORKS))
    source = valid / chance.choices(["weights.safetensors", "weights.pt"], [3, 1])[0]
    file = out / f"damaged{source.suffix}"
    change = damage.damaged_safetensors if source.suffix == ".safetensors" else damage.damaged_bytes
    file.write_bytes(change(source.read_bytes(), chance))
    compared = valid / ("clips/p01.mkv" if network == "lpips" else "real.npz")
    command = ["score", valid / "clips/p00.mkv", "--metrics", NETWORKS[network], "--reference", compared]
    return Case([*command, "--backbone", f"{network}={file}", "-o", "s.jsonl"], "")  # the reason is the metric's


# Commands -------------------------------------------------------------------------------------------------------------


@SOON
@pytest.mark.rounds(short=2, long=200)
@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_read_or_refused_by_its_name(name, chance, valid, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VDB_CACHE_DIR", str(valid / "cache"))
    case = KINDS[name](valid, tmp_path, chance)
    unreadable = lines_of(case.ledger).unreadable if case.ledger else 0
    with within_little_memory():
        try:
            status = main([str(word) for word in case.command])
        except SystemExit as end:
            status = end.code
    shown = capsys.readouterr()
    said = shown.out + shown.err
    assert status in {0, 1, 2}
    assert "Traceback" not in said
    assert status != 1 or case.named in said
    if status == 0 and case.ledger and unreadable:
        assert case.ledger.name in shown.err, f"{unreadable} unreadable lines of which nothing is said"
    shutil.rmtree(tmp_path, ignore_errors=True)


@SOON
@pytest.mark.rounds(short=2, long=120)
def test_a_damaged_pipeline_is_loaded_or_refused(chance, pipeline, tmp_path):
    """Its index, a configuration, a tokenizer or its weights."""
    folder = tmp_path / "wan"
    shutil.copytree(pipeline, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size < 3_000_000)
    described = [path for path in files if path.name.endswith(("config.json", "index.json"))]
    file = chance.choice(described if chance.random() < 0.5 else files)
    changes = BY_SUFFIX | {".safetensors": damage.damaged_safetensors}
    file.write_bytes(changes.get(file.suffix, damage.damaged_bytes)(file.read_bytes(), chance))
    card = Registry.from_catalog().get("wan2.1-t2v-1.3b")
    recipe = resolve(card, Recipe(frames=5, height=32, width=32, steps=1, dtype="float32"), "local")
    source = WeightsSource(mode="local", device="cpu", cache_dir=tmp_path / "cache", local_dir=folder, offline=True)
    with within_little_memory():
        refused = ""
        try:
            load_pipeline(card, recipe, source)
        except VdbError as error:
            refused = str(error)
    assert not refused or folder.name in refused
    shutil.rmtree(tmp_path, ignore_errors=True)


# Sessions -------------------------------------------------------------------------------------------------------------

OPTIONS = (
    *("models", "prompts", "samples", "seed", "weights", "weights-dir", "recipe", "metrics", "backbone", "reference"),
    *("device", "output", "cache", "cache-dir", "report", "baseline", "fail-on", "budget"),
)
WORDS = (
    *("", " ", ",", ",,", "=", "a=", "=a", ":", ":-1", "[", "[!", "*", "all", "all,all", "none,all", "-1", "0", "1e9"),
    *("9" * 50, "9" * 5000, "١٢", "nan", "inf", "a" * 300, "x" * 5000, "\x1b[31m", "\u202e", "%s%n", "{0}", "`id`"),
    *("tag:", "tag:x", "smoke:0", "smoke:99", "smoke:-1", "smoke:", "smoke:physics", "standard-100:'", "pytest"),
    *("frames=0", "frames=-5", "frames=9e99", "frames=nan", "height=1", "fps=nan", "fps=1e-320", "guidance=nan"),
    *("guidance=1e999", "steps=" + "9" * 21, "dtype=pickle", "scheduler=os.system", "scheduler=__init__", "compile=x"),
    *("lora=/etc/passwd", "cache=first-block:nan", "attention=;ls", "weights=hub", "negative_prompt=" + "y" * 9000),
    *("strength=nan", "sharpness", "sharpness:-2%", "sharpness:-nan%", "sharpness:-1e999", "sharpness:+-2%", "x:-1"),
    *("latency:10", "html,html", "pdf", "cuda:-1", "cuda:99", "meta", "cpu:1", "cpu;", "xla", "clip=", "clip=."),
    *("clip=/dev/null", "clip=/etc/passwd", "nope=/dev/null", "/", "../..", "/etc/passwd", "/dev/zero", "$(id)"),
    *("/proc/self/mem", "/dev/full/x", "5T", "-1G", "1e3M"),
)
FILES = ("prompts.jsonl", "prompts.jsonl:1", "prompts.jsonl:x", "base.json", "run", "real.npz", "clips/p00.mkv")

GATE = """
[project]
name = "x"
version = "1"
[tool.pytest.ini_options]
vdb_models = "fast-a"
vdb_recipe = ["frames=16"]
[tool.vdb.gate]
sharpness = "-2%"
temporal_flicker = "+0.1"
"""
VALUES = (
    *("1", "[]", "{}", "true", "1979-05-27", '""', '"nan"', '"-nan%"', '"9e999"', '"' + "9" * 5000 + '%"'),
    *('"\\u0000"', '"-2%,x:+1"'),
)
TABLES = ("[tool.vdb.gate]", "[tool.vdb]\ngate = 3", "[[tool.vdb.gate]]", "[tool]\nvdb = 5")


def damaged_gate(chance: random.Random) -> str:
    """A pyproject.toml; bytes that are no UTF-8 are pytest's own affair."""
    if chance.random() < 0.5:
        return damage.damaged_bytes(GATE.encode(), chance).decode("utf-8", "replace")
    value = chance.choice(['"-2%"', '"+0.1"'])
    return GATE.replace(value, chance.choice(VALUES)).replace("[tool.vdb.gate]", chance.choice(TABLES))


@pytest.fixture
def session(pytester: pytest.Pytester, valid: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Runs a session in this process; however it ends, it must be an end that is meant."""
    pytester.path.joinpath("conftest.py").write_text(CONFTEST)
    pytester.path.joinpath("test_bench.py").write_text(GENERATION)
    pytester.path.joinpath("plan.json").write_text('{"models": ["fast-a", "fast-b"], "seconds": 0, "frames": 16}')

    def run(*arguments: str) -> None:
        with within_little_memory():
            done = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments)
        said = "\n".join((*done.outlines, *done.errlines))
        assert done.ret in {0, 1, 2, 4, 5, *EXIT_CODES.values()}, said[-3000:]
        for broken in BROKEN:
            assert broken not in said, said[-3000:]
        if done.ret == 1:
            raised = re.findall(r"(?m)^E +(?!pytest_vdb)(\w+Error.*)", said)
            assert not raised, f"an error of a library: {raised}"

    return run


@SOON
@pytest.mark.rounds(short=4, long=350)
def test_an_option_of_any_value_is_used_or_refused(chance, valid, session, pytester):
    chosen = {"models": "fast-a", "prompts": f"{valid / 'prompts.jsonl'}:1", "metrics": "sharpness", "report": "none"}
    chosen |= {"output": str(pytester.path / "o"), "cache-dir": str(pytester.path / "c")}
    for _ in range(chance.choice([1, 1, 2])):
        option, word = chance.choice(OPTIONS), chance.choice([*WORDS, *(str(valid / name) for name in FILES)])
        writes_there = option in {"output", "cache-dir"} and (word.startswith("/") or ".." in word)
        chosen[option] = str(pytester.path / "x") if writes_there else word
    if chance.random() < 0.5:
        session(*(f"--vdb-{name}={value}" for name, value in chosen.items()))
        return
    keys = "".join(f"vdb_{name.replace('-', '_')} = {value}\n" for name, value in chosen.items())
    pytester.path.joinpath("pytest.ini").write_text("[pytest]\n" + keys, encoding="utf-8")
    session()


@SOON
@pytest.mark.rounds(short=2, long=250)
def test_a_damaged_gate_or_baseline_is_used_or_refused(chance, valid, session, pytester):
    baseline = pytester.path / "damaged.json"
    whole = (valid / "base.json").read_bytes()
    gate, baseline_bytes = GATE, whole
    if chance.random() < 0.35:
        gate = damaged_gate(chance)
    else:
        baseline_bytes = damage.damaged_json(whole, chance)
    baseline.write_bytes(baseline_bytes)
    pytester.path.joinpath("pyproject.toml").write_text(gate, encoding="utf-8")
    prompts = f"--vdb-prompts={valid / 'prompts.jsonl'}:2"
    metrics = "--vdb-metrics=sharpness,temporal_flicker"
    session("--vdb-models=fast-a", prompts, metrics, "--vdb-report=none", f"--vdb-baseline={baseline}")
