"""What collecting 50,000 benchmarks costs beside a bare suite with one flat parametrisation of that size.

Also the cost of our hooks per test: benchmarks that generate nothing, beside bare tests that do nothing.

    python benchmarks/perf/collection.py [--models 50] [--prompts 1000] [--rounds 3]
"""

import argparse
import os
import statistics
import sys
import tempfile
import textwrap
import time
from pathlib import Path

from pytest_vdb import files

BARE = """
    def pytest_generate_tests(metafunc):
        cases = [(m, p) for m in range({models}) for p in range({prompts})]
        metafunc.parametrize("case", cases, ids=[f"model{{m}}-p{{p}}" for m, p in cases])

    def test_bare(case):
        pass
"""
CONFTEST = """
    from pytest_vdb import model

    for number in range({models}):
        @model(f"model{{number}}")
        def answer(prompt, recipe, seed):
            raise AssertionError("collection generates nothing")

        globals()[f"model{{number}}"] = answer
"""
BENCHMARK = """
    def test_benchmark(vdb, vdb_model, vdb_prompt, vdb_seed):
        pass
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare_collection(Path(folder) / "collect", options.models, options.prompts, options.rounds)
        compare_hooks(Path(folder) / "hooks", options.rounds)


def compare_collection(folder: Path, models: int, prompts: int, rounds: int) -> None:
    bare, benchmarks = write_suites(folder, models, prompts)
    figures = {"bare": [], "vdb": []}
    for _ in range(rounds):  # in turn, so that a drift of the machine meets both
        figures["bare"].append(run(bare, ["--collect-only", "-qq", "-p", "no:vdb"]))
        figures["vdb"].append(run(benchmarks, ["--collect-only", "-qq", *vdb_options()]))
    print(f"collecting {models * prompts} tests, {rounds} rounds in turn, medians")
    report(figures)


def compare_hooks(folder: Path, rounds: int, models: int = 4, prompts: int = 500) -> None:
    bare, benchmarks = write_suites(folder, models, prompts)
    figures = {"bare": [], "vdb": []}
    for _ in range(rounds):
        figures["bare"].append(run(bare, ["-qq", "-p", "no:vdb"]))
        figures["vdb"].append(run(benchmarks, ["-qq", *vdb_options()]))
    per_test_ms = (median(figures["vdb"], 0) - median(figures["bare"], 0)) / (models * prompts) * 1000
    print(f"running {models * prompts} tests that do nothing: our fixtures, hooks and records")
    print(f"  cost {per_test_ms:.2f} ms each")


def write_suites(folder: Path, models: int, prompts: int) -> tuple[Path, Path]:
    bare, benchmarks = folder / "bare", folder / "vdb"
    write(bare / "test_bare.py", BARE.format(models=models, prompts=prompts))
    write(benchmarks / "conftest.py", CONFTEST.format(models=models))
    write(benchmarks / "test_benchmark.py", BENCHMARK)
    write(benchmarks / "prompts.txt", "\n".join(f"prompt number {number}" for number in range(prompts)))
    return bare, benchmarks


def write(path: Path, text: str) -> None:
    files.write(path, textwrap.dedent(text))


def vdb_options() -> list[str]:
    return ["--vdb-models=model*", "--vdb-prompts=prompts.txt", "--vdb-report=none", "--vdb-cache=never"]


def run(folder: Path, arguments: list[str]) -> tuple[float, float]:
    """(wall seconds, peak MiB) of one pytest process."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments]
    started = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execv(sys.executable, command)
    _, status, usage = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"failed in {folder}: {' '.join(command)}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def median(runs: list[tuple[float, float]], figure: int) -> float:
    return statistics.median(each[figure] for each in runs)


def report(figures: dict[str, list[tuple[float, float]]]) -> None:
    for position, unit in enumerate(("s", "MiB")):
        bare, ours = median(figures["bare"], position), median(figures["vdb"], position)
        print(f"  {unit:4} bare {bare:8.1f}   vdb {ours:8.1f}   ratio {ours / bare:.2f}")


if __name__ == "__main__":
    main()
