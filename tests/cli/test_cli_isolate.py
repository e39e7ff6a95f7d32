"""`vdb isolate`: a folder that is a model, and says what is to be done next."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from pytest_vdb.cli import main
from pytest_vdb.models.isolated import IsolatedModel, card_of_folder
from pytest_vdb.models.isolation import serve
from pytest_vdb.models.isolation.settings import Isolation, read_settings
from pytest_vdb.records import Prompt, Recipe

MODELS = '''
import json
import numpy as np
from pytest_vdb import Clip, model

@model("grey $HOME", frames=4, height=8, width=8, fps=8.0, tags=("plain",), frame_rule="4k")
class Grey:
    """Grey frames: "quoted"."""

    def generate(self, prompt, recipe, seed):
        frames = np.full((recipe.frames, recipe.height, recipe.width, 3), seed, np.uint8)
        return Clip(frames, recipe.fps)
'''


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grey_models.py").write_text(MODELS)
    return tmp_path


def isolate(*arguments: str) -> int:
    return main(["isolate", "grey $HOME", "--from", "grey_models.py", "-o", "box", *arguments])


@pytest.mark.parametrize("wall", ["bwrap", "venv"])
def test_the_folder_is_a_model_with_the_card_of_the_file(project, wall, capsys):
    assert isolate("--as", wall) == 0
    card, isolation = card_of_folder("isolated:box")
    assert (card.name, card.tags, card.notes) == (f"grey $HOME-{wall}", ("plain",), 'Grey frames: "quoted".')
    assert (card.defaults.frames, card.frame_rule.text) == (4, "4k")
    assert (isolation.wall, isolation.serve) == (wall, "model:Grey")
    assert (project / "box" / "requirements.txt").read_text() == f"numpy=={np.__version__}\n"
    told = capsys.readouterr().out
    assert "pytest benchmarks/ --vdb-models=isolated:box" in told
    assert ("no wall" in told) == (wall == "venv")


@pytest.fixture
def bare_python(tmp_path) -> tuple[list[str], dict[str, str]]:
    """A Python that has numpy and nothing else: its command, and its environment."""
    installed = Path(np.__file__).parent.parent
    (tmp_path / "site").mkdir()
    for name in ("numpy", "numpy.libs"):
        (tmp_path / "site" / name).symlink_to(installed / name)
    return [sys.executable, "-S"], {"PYTHONPATH": str(tmp_path / "site")}


def test_the_folder_answers_as_the_file_does_where_pytest_vdb_is_not_installed(project, bare_python):
    command, environment = bare_python
    isolate("--as", "venv")
    told = {"command": [*command, serve.__file__, "model:Grey"], "environment": environment, "wall": "venv"}
    isolation = read_settings({**told, "folder": "."}, beside=project / "box", where="test")
    model = IsolatedModel("grey", isolation, "cpu")
    clip = model.generate(Prompt(id="p", text="x"), Recipe(frames=4, height=8, width=8, fps=8.0), 7)
    model.close()
    assert (clip.frames == 7).all()
    absent = subprocess.run([*command, "-c", "import pytest_vdb"], env=environment, capture_output=True, check=False)
    assert absent.returncode == 1


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_container_has_its_server_labels_and_pins(project, engine, capsys):
    assert isolate("--as", engine) == 0
    dockerfile = (project / "box" / "Dockerfile").read_text()
    assert 'LABEL org.opencontainers.image.title="grey \\$HOME"' in dockerfile
    assert f'LABEL org.pytest-vdb.packages="numpy=={np.__version__}"' in dockerfile
    assert 'ENTRYPOINT ["python", "/vdb/serve.py", "model:Grey"]' in dockerfile
    assert (project / "box" / "serve.py").read_text() == Path(serve.__file__).read_text()
    table = tomllib.loads((project / "box" / "isolated.toml").read_text())
    assert table["isolated"] == {"wall": engine, "image": "vdb-grey-home"}
    assert card_of_folder("isolated:box")[1] == Isolation(
        wall=engine, image="vdb-grey-home", folder=".", beside=str(project / "box")
    )
    assert shlex.split(capsys.readouterr().out.split("next:")[1].splitlines()[0]) == [
        *(engine, "build", "-t", "vdb-grey-home", "box")
    ]


def test_apptainer_has_a_definition_with_labels_and_pins_and_a_command_to_be_pasted(project, capsys):
    assert isolate("--as", "apptainer", "-o", "my box") == 0
    folder = project / "my box"
    definition = (folder / "model.def").read_text().splitlines()
    assert definition[1:3] == ["Bootstrap: docker", f"From: python:{sys.version_info[0]}.{sys.version_info[1]}-slim"]
    assert "    org.opencontainers.image.title grey $HOME" in definition
    assert "    org.pytest-vdb.protocol 1" in definition
    assert f"    org.pytest-vdb.packages numpy=={np.__version__}" in definition
    assert definition[-1] == '    cd /vdb && exec python /vdb/serve.py model:Grey "$@"'
    assert {path.name for path in folder.iterdir()} == {
        *("isolated.toml", "model.def", "model.py", "requirements.txt", "serve.py")
    }
    isolation = card_of_folder("isolated:my box")[1]
    assert (isolation.wall, isolation.image) == ("apptainer", "vdb-grey-home.sif")
    next_command, session = (line.partition(":")[2] for line in capsys.readouterr().out.splitlines()[-2:])
    assert next_command.strip() == "(cd 'my box' && apptainer build vdb-grey-home.sif model.def)"
    assert shlex.split(session)[-1] == "--vdb-models=isolated:my box"


def test_what_is_there_is_kept(project, capsys):
    isolate()
    (project / "box" / "model.py").write_text("mine = 1\n")
    assert isolate() == 0
    assert (project / "box" / "model.py").read_text() == "mine = 1\n"
    assert "kept" in capsys.readouterr().out


def test_another_wall_than_that_of_the_card_that_is_kept_is_warned_of(project, capsys):
    isolate("--as", "venv")
    assert "says wall" not in capsys.readouterr().err
    assert isolate("--as", "docker") == 0
    assert "the isolated.toml that was kept says wall = 'venv'" in capsys.readouterr().err


def test_modules_of_ones_own_and_more_of_pytest_vdb_are_told(project, capsys):
    (project / "grey_models.py").write_text("import grey_parts\nfrom pytest_vdb.records import Clip as C\n" + MODELS)
    (project / "grey_parts.py").write_text("")
    sys.path.insert(0, str(project))
    try:
        assert isolate() == 0
    finally:
        sys.path.remove(str(project))
    assert "imports grey_parts, which no package brings" in capsys.readouterr().err
    assert "pytest-vdb==" in (project / "box" / "requirements.txt").read_text()


def test_a_name_that_the_file_does_not_tag_is_refused(project, capsys):
    assert main(["isolate", "gray $HOME", "--from", "grey_models.py"]) == 1
    assert "did you mean 'grey $HOME'" in capsys.readouterr().err
