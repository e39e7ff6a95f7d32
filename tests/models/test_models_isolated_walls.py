"""How a wall is asked for: limits with and without control groups, and the command lines of containers.

No engine of containers is at hand: a stand-in on the PATH keeps what it was asked, and runs the server by itself. What
a real one holds is unverified.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vdb.errors import CardError, ModelOutOfMemory, ModelProcessError
from pytest_vdb.models.isolated import IsolatedModel
from pytest_vdb.models.isolation import serve
from pytest_vdb.models.isolation.limits import Group, grouped, launcher
from pytest_vdb.models.isolation.settings import read_settings
from pytest_vdb.models.isolation.walls import walled
from pytest_vdb.records import Prompt, Recipe

HERE = Path(__file__).parent
RECIPE = Recipe(frames=2, height=4, width=4, fps=8.0)
MIB = 2**20


# Limits ---------------------------------------------------------------------------------------------------------------


def test_groups_of_version_2_get_memory_processes_and_processors(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    group = grouped(512 * MIB, 64, 2, tmp_path)
    assert group is not None
    (folder,) = group.folders
    told = {path.name: path.read_text() for path in folder.iterdir()}
    assert told == {"memory.max": str(512 * MIB), "pids.max": "64", "cpu.max": "200000 100000"}
    (folder / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    assert group.oom_kills() == 2


def test_groups_of_version_1_are_one_per_controller_that_is_asked_for(tmp_path):
    for kind in ("memory", "pids", "cpu"):
        (tmp_path / kind).mkdir()
    group = grouped(None, 64, 2, tmp_path)
    assert group is not None
    assert [folder.parent.name for folder in group.folders] == ["pids", "cpu"]
    assert group.oom_kills() == 0


def test_groups_of_sessions_that_were_killed_are_removed(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / f"vdb-{ended.pid}-0a1b").mkdir()
    (tmp_path / f"vdb-{os.getpid()}-0a1b").mkdir()
    group = grouped(None, 64, None, tmp_path)
    assert group is not None
    left = {path for path in tmp_path.iterdir() if path.is_dir()}
    assert left == {*group.folders, tmp_path / f"vdb-{os.getpid()}-0a1b"}, "of those that go on nothing is removed"


def test_where_no_group_can_be_made_there_is_none_and_nothing_is_left(tmp_path):
    assert grouped(512 * MIB, 64, None, tmp_path / "nowhere") is None
    (tmp_path / "memory").mkdir()
    assert grouped(512 * MIB, 64, None, tmp_path) is None, "one of two controllers is none"


HOG = "import numpy as np\ntry:\n np.ones(2**30, np.uint8)\nexcept MemoryError:\n print('no memory')"


def test_without_a_group_memory_is_held_by_addresses_and_that_is_said():
    before, not_held = launcher(None, 512 * MIB, MIB)
    ran = subprocess.run([*before, sys.executable, "-c", HOG], capture_output=True, text=True, check=True)
    assert ran.stdout == "no memory\n"
    assert "RLIMIT_AS" in not_held
    unlimited, _ = launcher(None, None, MIB)
    ran = subprocess.run(
        [*unlimited, sys.executable, "-c", "print('runs')"], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "runs\n"


def test_a_process_that_cannot_enter_its_group_does_not_run(tmp_path):
    before, not_held = launcher(Group((tmp_path / "gone",)), None, MIB)
    ran = subprocess.run([*before, sys.executable, "-c", "print('runs')"], capture_output=True, text=True, check=False)
    assert (ran.stdout, not_held) == ("", None)
    assert ran.returncode != 0


# Containers -----------------------------------------------------------------------------------------------------------

ENGINE = """#!{python}
import json, os, subprocess, sys
asked = sys.argv[1:]
with open("{folder}/asked.jsonl", "a") as log:
    log.write(json.dumps(asked) + "\\n")
if asked[0] == "inspect":
    print("true" if os.path.exists("{folder}/oom") else "false")
if asked[0] == "run":
    exchange = next(one for one in asked if one.endswith(":/exchange")).rpartition(":")[0]
    inside = subprocess.Popen([sys.executable, "{server}", "{model}"], stdin=subprocess.PIPE, text=True)
    for line in sys.stdin:
        try:
            inside.stdin.write(line.replace('"/exchange', '"' + exchange))
            inside.stdin.flush()
        except BrokenPipeError:
            break
        if inside.poll() is not None:
            break
        if '"crash"' in line:
            break
    inside.stdin.close()
    status = inside.wait()
    sys.exit(status if status >= 0 else 128 - status)
"""


@pytest.fixture(params=["docker", "podman"])
def engine(request, tmp_path, monkeypatch) -> Path:
    """A stand-in of the client, and the folder that it keeps what it was asked in."""
    model = f"{HERE / 'isolated_models.py'}:Obedient"
    text = ENGINE.format(python=sys.executable, folder=tmp_path, server=serve.__file__, model=model)
    (tmp_path / request.param).write_text(text)
    (tmp_path / request.param).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / request.param


def contained(engine: Path, **settings: object) -> IsolatedModel:
    told = {"wall": engine.name, "image": "vdb-noise", **settings}
    return IsolatedModel("boxed", read_settings(told, beside=engine.parent, where="test"), "cpu")


def asked_of(engine: Path) -> list[list[str]]:
    return [json.loads(line) for line in (engine.parent / "asked.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_container_is_asked_for_with_every_limit_and_removed_in_the_end(engine):
    (engine.parent / "weights").mkdir()
    model = contained(engine, memory_gib=1, pids=99, cpus=2, read=["weights"], environment={"A": "b c"})
    clip = model.generate(Prompt(id="p", text="x"), RECIPE, 1)
    model.close()
    assert clip.frames.shape == (2, 4, 4, 3)
    run, *others = asked_of(engine)
    line = " ".join(run)
    for told in (
        *("--init", "--network none", "--read-only", "--cap-drop ALL", "--security-opt no-new-privileges"),
        *("--user 65534:65534", "--pids-limit 99", "--cpus 2", f"--memory {2**30} --memory-swap {2**30}"),
        *("--env A=b c", f"--volume {engine.parent}/weights:{engine.parent}/weights:ro", ":/exchange vdb-noise"),
    ):
        assert told in line
    assert run[-1] == "vdb-noise", "the image's own server"
    name = run[run.index("--name") + 1]
    assert others == [["rm", "-f", name]]


def test_a_server_is_told_how_many_ranks_it_is_and_a_command_of_ones_own_is_not(engine):
    asked = read_settings({"wall": engine.name, "image": "vdb-noise"}, beside=HERE, where="test")
    assert walled(asked, engine.parent, 4).command[-2:] == ("vdb-noise", "4")
    own = read_settings({"command": ["mine"], "wall": "venv"}, beside=HERE, where="test")
    assert walled(own, engine.parent, 4).command == ("mine",)
    ours = read_settings({"serve": "isolated_models.py:Rows", "wall": "venv"}, beside=HERE, where="test")
    assert walled(ours, engine.parent, 4).command[-1] == "4"
    assert walled(ours, engine.parent).command[-1].endswith("isolated_models.py:Rows")


@pytest.mark.slow
def test_a_container_that_died_is_asked_whether_memory_ended_it(engine):
    model = contained(engine)
    with pytest.raises(ModelProcessError, match="signal SIGSEGV behind its wall"):
        model.generate(Prompt(id="p", text="crash"), RECIPE, 1)
    (engine.parent / "oom").touch()
    with pytest.raises(ModelOutOfMemory, match="ended for its memory"):
        model.generate(Prompt(id="p", text="crash"), RECIPE, 1)
    kinds = [asked[0] for asked in asked_of(engine)]
    assert kinds[:3] == ["run", "inspect", "rm"]
    model.close()


APPTAINER = """#!{python}
import json, os, subprocess, sys
asked = {{"asked": sys.argv[1:], "environment": dict(os.environ)}}
with open("{folder}/asked.json", "w") as log:
    json.dump(asked, log)
exchange = next(one for one in sys.argv if one.endswith(":/exchange")).rpartition(":")[0]
inside = subprocess.Popen([sys.executable, "{server}", "{model}"], stdin=subprocess.PIPE, text=True)
for line in sys.stdin:
    inside.stdin.write(line.replace('"/exchange', '"' + exchange))
    inside.stdin.flush()
"""


@pytest.mark.slow
def test_apptainer_is_asked_for_without_network_folders_and_variables_of_the_session(tmp_path, monkeypatch):
    model = f"{HERE / 'isolated_models.py'}:Obedient"
    text = APPTAINER.format(python=sys.executable, folder=tmp_path, server=serve.__file__, model=model)
    (tmp_path / "apptainer").write_text(text)
    (tmp_path / "apptainer").chmod(0o755)
    for name in ("weights", "noise.sif"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("APPTAINER_BIND", "/")
    told = {"wall": "apptainer", "image": "noise.sif", "read": ["weights"], "environment": {"A": "b,c"}}
    boxed = IsolatedModel("boxed", read_settings(told, beside=tmp_path, where="test"), "cpu")
    assert boxed.generate(Prompt(id="p", text="x"), RECIPE, 1).frames.shape == (2, 4, 4, 3)
    boxed.close()
    kept = json.loads((tmp_path / "asked.json").read_text())
    line = " ".join(kept["asked"])
    assert "run --containall --no-privs --net --network none" in line
    assert f"--bind {tmp_path}/weights:{tmp_path}/weights:ro" in line
    assert line.endswith(f":/exchange {tmp_path}/noise.sif")
    assert kept["environment"]["APPTAINERENV_A"] == "b,c"
    assert "APPTAINER_BIND" not in kept["environment"]


def test_an_image_of_apptainer_that_is_not_built_is_told(tmp_path, monkeypatch):
    (tmp_path / "apptainer").write_text("#!/bin/sh\n")
    (tmp_path / "apptainer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    settings = read_settings({"wall": "apptainer", "image": "noise.sif"}, beside=tmp_path, where="test")
    with pytest.raises(CardError, match=r"there is no image .*noise\.sif"):
        IsolatedModel("boxed", settings, "cpu").load(RECIPE)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"seconds": float("inf")}, "`seconds` is inf"),
        ({"memory_gib": 1e300}, "`memory_gib` is 1e"),
        ({"start_seconds": float("nan")}, "`start_seconds` is nan"),
        ({"pids": 10**9}, "`pids` is 1000000000"),
        ({"environment": {"A=B": "c"}}, "no variable can be called 'A=B'"),
        ({"environment": {"": "c"}}, "no variable can be called ''"),
        ({"environment": {"A": "b\0c"}}, "null byte"),
        ({"command": ["python", "\0"]}, "null byte"),
        ({"wall": "docker", "image": "x", "read": ["a:b"]}, "`read` has .*a:b"),
        ({"wall": "apptainer", "image": "x", "read": ["a,b"]}, "`read` has .*a,b"),
    ],
)
def test_settings_that_no_command_line_can_say_are_refused(tmp_path, settings, told):
    asked = settings if "command" in settings else {"serve": "m.py:M", **settings}
    with pytest.raises(CardError, match=told):
        read_settings(asked, beside=tmp_path, where="test")


# The server -----------------------------------------------------------------------------------------------------------


def test_the_server_is_python_3_8_and_needs_the_standard_library_and_numpy_alone():
    tree = ast.parse(Path(serve.__file__).read_text(encoding="utf-8"), feature_version=(3, 8))
    of_ranks = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Ranks")
    tree.body.remove(of_ranks)
    assert imported(tree) <= {*sys.stdlib_module_names, "numpy"}
    assert imported(of_ranks) == {"torch"}, "several ranks need it, one does not"


def imported(tree: ast.AST) -> set[str]:
    named = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    named += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in named}
