import dataclasses
import os
import subprocess
import sys

import pytest

from pytest_vdb.records import Environment, Gpu, from_json, to_json
from pytest_vdb.results import environment


def test_it_describes_this_machine():
    found = environment.capture("cpu")
    assert found.cpu_count >= 1
    assert found.memory_mib > 256
    assert found.hardware == f"{found.cpu} ({found.cpu_count} cores)"
    assert {"pytest-vdb", "numpy", "torch", "av"} <= set(found.packages)
    assert from_json(to_json(found), Environment) == found


def test_two_captures_have_one_digest():
    assert environment.capture("cpu").digest() == environment.capture("cpu").digest()


@pytest.mark.slow
def test_it_imports_no_torch():
    script = "import sys; from pytest_vdb.results import environment; environment.capture('cpu')"
    script += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_a_device_that_is_not_here_gets_no_invented_name(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert environment.capture("cuda").hardware == "unknown CUDA device"


def test_the_memory_of_a_device_is_that_very_devices():
    here = dataclasses.replace(
        environment.capture("cpu"),
        memory_mib=4096,
        gpus=(Gpu(name="a", memory_mib=81920), Gpu(name="b", memory_mib=1024)),
    )
    told = {device: environment.memory_gib_of(device, here) for device in ("cpu", "cuda", "cuda:0", "cuda:1", "cuda:2")}
    assert told == {"cpu": 4.0, "cuda": 80.0, "cuda:0": 80.0, "cuda:1": 1.0, "cuda:2": None}


def test_the_commit_and_whether_files_differ_are_noted(tmp_path):
    assert environment.capture("cpu", folder=tmp_path).git_commit is None
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    run = lambda *words: subprocess.run([*git, *words], cwd=tmp_path, check=True, capture_output=True)  # noqa: E731
    run("init")
    assert environment.capture("cpu", folder=tmp_path).git_commit is None
    (tmp_path / "a").write_text("1")
    run("add", "a")
    run("commit", "-m", "a")
    clean = environment.capture("cpu", folder=tmp_path)
    assert (len(clean.git_commit), clean.git_dirty) == (40, False)
    (tmp_path / "a").write_text("2")
    dirty = environment.capture("cpu", folder=tmp_path)
    assert (dirty.git_commit, dirty.git_dirty) == (clean.git_commit, True)


@pytest.mark.skipif(not environment.capture("cuda").gpus, reason="no NVIDIA card here: unverified on a GPU")
def test_the_visible_cards_are_those_of_cuda_visible_devices(monkeypatch):
    every = environment.capture("cuda")
    assert every.driver
    assert every.hardware == every.gpus[0].name
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", every.gpus[-1].uuid[:12])
    assert environment.capture("cuda").gpus == (every.gpus[-1],)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"0,{len(every.gpus) + 7},0")
    assert len(environment.capture("cuda").gpus) == 1
    assert os.environ["CUDA_VISIBLE_DEVICES"]


def test_an_installation_that_can_be_edited_is_known_by_its_text(tmp_path):
    """Its version is the same before and after an edit, and the clips of the old code are not those of the new."""
    package = tmp_path / "diffusers"
    package.mkdir()
    (package / "__init__.py").write_text("")
    about = tmp_path / "diffusers-0.99.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: diffusers\nVersion: 0.99\n")
    (about / "direct_url.json").write_text('{"url": "file:///somewhere", "dir_info": {"editable": true}}')
    script = "from pytest_vdb.results import environment; print(environment.packages()['diffusers'])"

    def version() -> str:
        told = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
        return subprocess.run(
            [sys.executable, "-c", script], env=told, check=True, capture_output=True, text=True
        ).stdout

    before = version()
    assert before.startswith("0.99 @ sources ")
    assert version() == before
    (package / "pipeline.py").write_text("STEPS = 2\n")
    assert version() != before
    (about / "direct_url.json").write_text('{"url": "file:///somewhere", "dir_info": {}}')
    assert version() == "0.99\n"
