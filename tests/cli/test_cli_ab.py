"""`vdb ab`, as a user types it: two commands in turns, a ref in a worktree of its own, and what can go wrong."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_vdb.cli import main
from pytest_vdb.cli.worktrees import Trees, path_of

VDB = (sys.executable, "-m", "pytest_vdb")
SLOWER = ("--fail-on", "latency:+10%&0.001s,spread:-1%")

CONFTEST = """
import time
import numpy as np
import naps
from pytest_vdb import Clip, metric, model

@model("sleepy", frames=4, height=16, width=16, fps=8.0)
def sleepy(prompt, recipe, seed):
    \"\"\"Noise after a nap.\"\"\"
    time.sleep(naps.SECONDS)
    frames = np.random.default_rng(seed).integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8)
    return Clip(frames, recipe.fps)

@metric("spread", unit="1", better="higher")
def spread(clip: Clip) -> float:
    \"\"\"Standard deviation of all pixels in [0, 1].\"\"\"
    return float(clip.frames.std() / 255)
"""
TEST = """
def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
    vdb.measure(vdb.generate(vdb_model, vdb_prompt, vdb_seed))
"""
WITHOUT = " ".join(f"-p no:{name}" for name in ("randomly", "html", "html_fixtures", "metadata", "anyio", "pytest_cov"))


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """A project, with the plugin's code where `PYTHONPATH` leads."""
    project = tmp_path / "project"
    (project / "benchmarks").mkdir(parents=True)
    (project / "conftest.py").write_text(CONFTEST)
    (project / "naps.py").write_text("SECONDS = 0.02\n")
    (project / "benchmarks" / "test_generation.py").write_text(TEST)
    monkeypatch.chdir(project)
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", WITHOUT)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    return project


def git(*arguments: str) -> str:
    who = ("-c", "user.name=me", "-c", "user.email=me@localhost")
    return subprocess.run(["git", *who, *arguments], check=True, capture_output=True, text=True).stdout


def committed() -> None:
    """The project as the branch `main` of a repository."""
    Path(".gitignore").write_text("reports/\n__pycache__/\n")
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-q", "-m", "first")


def pytest_of(*options: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "benchmarks/", "--vdb-models=sleepy", "--vdb-metrics=spread", *options]


ONE = pytest_of("--vdb-prompts=smoke:1")


def ab(*arguments: str) -> int:
    return main(["ab", *arguments])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "what shall be compared?"),
        (SLOWER, "what shall be compared?"),
        ((*SLOWER, "--"), "no commands, and two are compared"),
        ((*SLOWER, "--", "pytest", "x"), "one command, and two are compared"),
        ((*SLOWER, "--", "a", "--", "b", "--", "c"), "3 commands, and two are compared"),
        (("--", "true", "--", "true"), "no gate says what may not get worse"),
        (("--fail-on", "latency", "--", "true", "--", "true"), "is no rule"),
        ((*SLOWER, "--blocks", "0", "--", "true", "--", "true"), "give at least 1, a whole number"),
        ((*SLOWER, "--", "true", "--", "no-such-program"), "CMD_B: there is no program 'no-such-program'"),
        ((*SLOWER, "--", "true", "--vdb-output=x", "--", "true"), "leave it out: each block has a folder of its own"),
        ((*SLOWER, "--", "true", "--", "true", "--vdb-baseline", "x"), "the other command is what is compared with"),
        ((*SLOWER, "--", "true", "--", "true", "--vdb-fail-on=x"), "give --fail-on to vdb ab"),
        ((*SLOWER, "--", "true", "--vdb-cache=only-missing", "--", "true"), "would come from a cache"),
        ((*SLOWER, "--install", "pip install .", "--", "true", "--", "true"), "only a ref is installed"),
        ((*SLOWER, "--ref", "main", "--", "a", "--", "b"), "a ref and two commands"),
        ((*SLOWER, "--ref", "main", "--install", "'", "--", "benchmarks/"), "close the quotation"),
        ((*SLOWER, "--ref", "main", "--install", "", "--", "benchmarks/"), "give one: 'pip install .'"),
        ((*SLOWER, "--ref", "main", "--", "--vdb-output=x"), "leave it out: each block has a folder of its own"),
        ((*SLOWER, "--ref", "main", "--", "benchmarks/"), "not a git repository"),
    ],
)
def test_what_is_not_asked_rightly_is_no_regression(capsys, arguments, said):
    assert ab(*arguments) == 2
    assert said in capsys.readouterr().err
    assert not Path("reports").exists()


def test_a_ref_that_is_not_there_says_which_may_be_meant(capsys):
    committed()
    assert ab("--ref", "mian", *SLOWER, "--", "benchmarks/") == 2
    assert "unknown git ref 'mian'\n  did you mean 'main'?" in capsys.readouterr().err


def test_a_ref_without_the_folder_is_told_and_its_worktree_removed(place, capsys, monkeypatch):
    committed()
    (place / "new").mkdir()
    monkeypatch.chdir("new")
    assert ab("--ref", "main", *SLOWER, "--", "benchmarks/") == 2
    assert "main has no folder new" in capsys.readouterr().err
    assert len(git("worktree", "list").splitlines()) == 1


def test_each_tree_imports_its_own_code_first(tmp_path, monkeypatch):
    """Also where this process's path leads into the working tree, as an editable installation does."""
    head, base = tmp_path / "head", tmp_path / "base"
    (base / "src").mkdir(parents=True)
    trees = Trees(
        head=head,
        base=base,
        below=Path(),
        reference="main",
        commit="a" * 40,
        head_commit="b" * 40,
        changed=2,
        place=tmp_path,
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(head / "lib"), "/elsewhere"]))
    own = [str(base / "src"), str(base), str(base / "lib")]
    assert path_of(base, trees).split(os.pathsep) == [*own, "/elsewhere"]
    assert trees.in_words.endswith("head: the working tree at bbbbbbbbbb with 2 uncommitted changes")


def test_a_first_block_that_measures_nothing_is_the_only_one(capsys):
    assert ab(*SLOWER, "--", "true", "--", *ONE) == 12
    out, err = capsys.readouterr()
    assert "FAILED missing" in out
    assert "block 1 of base measured nothing (exit status 0)" in out
    assert "hand PYTEST_ADDOPTS on to it" in err
    assert "the other blocks are not run" in err


def test_a_command_that_fails_is_told_with_its_last_lines(capsys):
    command = [sys.executable, "-c", "import sys; print('no\\x1b[31m GPU'); sys.exit(3)"]
    assert ab(*SLOWER, "--json", "--", *command, "--", *ONE) == 12
    out, err = capsys.readouterr()
    assert [(one["metric"], one["verdict"]) for one in json.loads(out)] == [
        ("latency", "missing"),
        ("spread", "missing"),
    ]
    assert "| no" in err
    assert "exit status 3" in err
    assert "\x1b" not in err


@pytest.mark.slow
def test_a_slower_command_regresses_and_the_same_picture_is_equivalent(capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(Path("page.md").absolute()))
    Path("naps.py").write_text("import os\nSECONDS = float(os.environ.get('NAP', 0.05))\n")
    sides = ("--", *ONE, "--", "env", "NAP=0.25", *ONE)
    assert ab(*SLOWER, "--blocks", "3", "--json", "--output", "out", *sides) == 1
    latency, spread = json.loads(capsys.readouterr().out)
    assert (latency["verdict"], latency["n"], spread["verdict"]) == ("regressed", 3, "equivalent")
    assert latency["ratio"] > 1.5
    (session,) = Path("out").iterdir()
    runs = sorted(path.parent for path in session.glob("*/runs/*/run.json"))
    assert [run.parent.parent.name for run in sorted(runs, key=lambda run: run.name)] == [
        "001-base",
        "001-head",
        "002-head",
        "002-base",
        "003-base",
        "003-head",
    ]
    assert not Path("page.md").exists(), "a block writes nothing on the page of the job"
    assert not Path("reports").exists()


@pytest.mark.slow
def test_what_lies_here_is_compared_with_a_ref_and_the_worktree_removed(place, capsys):
    committed()
    Path("naps.py").write_text("SECONDS = 0.06\n")
    assert ab("--ref", "main", "--blocks", "1", "--markdown", *SLOWER, "--", "benchmarks/", *ONE[4:]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("# Gate: passed")
    assert "1 block: at least 3 are needed" in out
    (change,) = re.findall(r"\(\+(\d+)\.\d%, \+", out)
    assert int(change) > 50
    assert "the working tree at" in err
    assert "with 1 uncommitted change" in err
    assert len(git("worktree", "list").splitlines()) == 1
    assert not list(place.parent.glob("vdb-ab-*"))


@pytest.mark.slow
def test_different_tests_and_a_misspelt_rule_are_told_after_the_first_turn(capsys):
    other = pytest_of("--vdb-prompts=smoke:1", "--vdb-seed=7")
    assert ab(*SLOWER, "--", *ONE, "--", *other) == 2
    assert "no test in common: base ran benchmarks/test_generation.py::test_generation[" in capsys.readouterr().err
    assert ab("--fail-on", "latncy:+2%", "--", *ONE, "--", *ONE) == 2
    told = capsys.readouterr().err
    assert "did you mean 'latency'?" in told
    assert "block 2" not in told


@pytest.mark.slow
def test_a_working_tree_that_is_edited_meanwhile_is_no_one_version(capsys):
    edit = 'Path("naps.py").open("a").write("# an edit")'
    Path("conftest.py").write_text(CONFTEST + f"\nfrom pathlib import Path\n{edit}\n")
    committed()
    assert ab("--ref", "main", "--blocks", "1", "--fail-on", "spread:-1%", "--", "benchmarks/", *ONE[4:]) == 12
    out, err = capsys.readouterr()
    assert "head was edited while its blocks ran" in " ".join(out.split())
    assert "the same commit, so this measures the noise" in err


FAILS_AT_THE_SECOND = """
from pathlib import Path
def pytest_sessionstart(session):
    times = Path("times")
    times.write_text(times.read_text() + "." if times.exists() else ".")
    if times.read_text() == "...":
        raise OSError("out of scratch space")
"""


@pytest.mark.slow
def test_a_later_block_that_fails_is_no_pass_and_the_others_are_judged(capsys):
    Path("conftest.py").write_text(CONFTEST + FAILS_AT_THE_SECOND)
    assert ab("--blocks", "2", "--fail-on", "spread:-1%", "--", *ONE, "--", *ONE) == 12
    out, err = capsys.readouterr()
    assert "block 2 of 2, head: " in err
    assert "out of scratch space" in err
    assert "block 2 of head measured nothing (exit status 3); the others: spread of sleepy" in " ".join(out.split())
    assert "block 2 of 2, base: 1 test" in err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_it_ends_the_block_and_judges_what_is_finished(number, status):
    Path("conftest.py").write_text(CONFTEST + NAPS_IN_THE_LAST_BLOCK)
    words = shlex.join([*VDB, "ab", *SLOWER, "--", *ONE, "--", *ONE])
    process = subprocess.Popen(
        ["bash", "-c", f"exec {words}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    until = time.monotonic() + 60
    while not Path("asleep").exists() and time.monotonic() < until and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)  # the session itself has twenty seconds to end
    assert process.returncode == status
    assert "inconclusive latency of sleepy" in out
    assert "1 block: at least 3 are needed" in " ".join(out.split())
    assert "1 of 12 turns are in reports/ab/" in err
    assert "what is said above is of these" in err
    assert "Traceback" not in err
    asleep = int(Path("asleep").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(asleep, 0)


NAPS_IN_THE_LAST_BLOCK = """
import os
from pathlib import Path
def pytest_runtest_setup(item):
    times = Path("times")
    times.write_text(times.read_text() + "." if times.exists() else ".")
    if times.read_text() == "...":
        Path("asleep").write_text(str(os.getpid()))
        time.sleep(60)
"""


@pytest.mark.heavy
def test_both_trees_get_an_environment_of_their_own_where_it_is_asked_for(capsys):
    """What the command installs is seen by its own side alone; what is installed here is seen by both."""
    Path("naps.py").unlink()
    Path("install.py").write_text(
        "import pathlib, sysconfig\n"
        "place = pathlib.Path(sysconfig.get_path('purelib'), 'naps.py')\n"
        "place.write_text(pathlib.Path('seconds.txt').read_text())\n"
    )
    Path("seconds.txt").write_text("SECONDS = 0.02\n")
    committed()
    Path("seconds.txt").write_text("SECONDS = 0.06\n")
    words = ("--", "benchmarks/", *ONE[4:])
    assert ab("--ref", "main", "--install", "python install.py", "--blocks", "1", "--json", *SLOWER, *words) == 0
    latency, _ = json.loads(capsys.readouterr().out)
    assert latency["ratio"] > 1.5
    assert ab("--ref", "main", "--install", "python -c 'raise SystemExit(5)'", *SLOWER, *words) == 2
    assert "failed (exit status 5)" in capsys.readouterr().err
