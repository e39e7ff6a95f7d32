"""A model in a process of its own is a model: the same clips, errors that say what became of it, and an end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import isolated_models
import numpy as np
import psutil
import pytest

from pytest_vdb.bench.bench import ran_out_of_memory
from pytest_vdb.errors import CardError, ModelOutOfMemory, ModelProcessError, PromptError, WallMissing
from pytest_vdb.models.isolated import IsolatedModel, card_of_folder, fingerprint
from pytest_vdb.models.isolation.settings import isolated, isolation_of, read_settings
from pytest_vdb.models.isolation.walls import why_no_bwrap
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.records import Prompt, Recipe

HERE = Path(__file__).parent
RECIPE = Recipe(frames=4, height=16, width=16, fps=8.0)
WALLS = [
    "venv",
    pytest.param("bwrap", marks=pytest.mark.skipif(why_no_bwrap() is not None, reason=str(why_no_bwrap()))),
]


def asking(text: str) -> Prompt:
    return Prompt(id="p001", text=text)


@pytest.fixture
def opened():
    """Starts a class or function of `isolated_models.py`; ended after the test."""
    models = []

    def open_(name="Obedient", **settings):
        told = {"serve": f"isolated_models.py:{name}", **settings}
        models.append(IsolatedModel(name.lower(), read_settings(told, beside=HERE, where="test"), "cpu"))
        return models[-1]

    yield open_
    for model in models:
        model.close()


def left_in_shared_memory() -> set[str]:
    return {path.name for path in Path("/dev/shm").glob("vdb-exchange-*")}


def goes_soon(names: set[str]) -> bool:
    """Those of other tests, which other workers run meanwhile, go with these."""
    ends = time.monotonic() + 30
    while names & left_in_shared_memory() and time.monotonic() < ends:
        time.sleep(0.1)
    return not names & left_in_shared_memory()


KILLED = """
import os, sys
from pytest_vdb.models.isolated import IsolatedModel
from pytest_vdb.models.isolation.settings import Isolation
from pytest_vdb.records import Prompt, Recipe
model = IsolatedModel("x", Isolation(serve="isolated_models.py:noise", beside=sys.argv[1], wall="venv"), "cpu")
model.load(Recipe())
os.kill(os.getpid(), 9)
"""


def test_a_session_that_was_killed_leaves_no_process_and_its_folder_goes_with_the_next(opened, tmp_path):
    shutil.copy(HERE / "isolated_models.py", tmp_path)
    before = left_in_shared_memory()
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    left = left_in_shared_memory() - before
    opened("noise", wall="venv").load(RECIPE)
    assert goes_soon(left)
    commands = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if f"{tmp_path}/isolated_models.py" in command]


OPENS_AND_CLOSES = """
import sys
from pytest_vdb.errors import CardError
from pytest_vdb.models.isolated import IsolatedModel
from pytest_vdb.models.isolation.settings import Isolation
from pytest_vdb.records import Recipe
told = Isolation(serve="model.py:x", folder=".", python="none", beside=sys.argv[1], wall="venv")
model = IsolatedModel("x", told, "cpu")
for _ in range(1500):
    try:
        model.load(Recipe())
    except CardError:
        pass
"""


@pytest.mark.slow
def test_sessions_that_begin_at_once_do_not_take_each_others_folders_for_left_ones(tmp_path):
    command = [sys.executable, "-c", OPENS_AND_CLOSES, str(tmp_path)]
    at_once = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [one.communicate()[1] for one in at_once] == ["", "", ""]


@pytest.mark.parametrize("wall", WALLS)
def test_clips_are_those_that_the_model_makes_in_this_process(opened, wall):
    before = left_in_shared_memory()
    model = opened("noise", wall=wall)
    for seed in (1, 2):
        clip = model.generate(asking("x"), RECIPE, seed)
        frames, fps = isolated_models.noise(asking("x"), RECIPE, seed)
        assert np.array_equal(clip.frames, frames)
        assert clip.fps == fps
    assert f"in a process of its own ({wall}): Python {sys.version.split()[0]}, numpy" in model.notes[0]
    assert ("holds nothing" in " ".join(model.notes)) == (wall == "venv")
    opened_meanwhile = left_in_shared_memory() - before
    assert opened_meanwhile
    model.close()
    assert goes_soon(opened_meanwhile), "the exchange folder is left"


def test_what_is_printed_is_no_answer_and_notes_are_shown_harmless(opened):
    model = opened(wall="venv")
    model.generate(asking("print"), RECIPE, 1)
    assert "kept \\x1b[31mred" in model.notes
    assert any("MiB at most" in note for note in model.notes)


def test_an_error_of_the_model_is_told_and_the_process_goes_on(opened):
    model = opened(wall="venv")
    with pytest.raises(ModelProcessError, match=r"model obedient: FileNotFoundError: .*no/such"):
        model.generate(asking("read no/such"), RECIPE, 1)
    assert not model.has_ended
    model.generate(asking("x"), RECIPE, 1)


@pytest.mark.parametrize(("deed", "told"), [("crash", "SIGSEGV"), ("leave", "exit status 3")])
@pytest.mark.parametrize("wall", WALLS)
def test_a_death_is_one_error_with_status_and_last_words_and_the_next_clip_has_a_new_process(opened, wall, deed, told):
    model = opened(wall=wall)
    with pytest.raises(ModelProcessError, match=told) as failed:
        model.generate(asking(deed), RECIPE, 1)
    assert ("the last words" in str(failed.value)) == (deed == "crash")
    assert model.has_ended
    model.generate(asking("x"), RECIPE, 1)
    assert not model.has_ended


def test_a_process_that_dies_between_requests_is_started_again(opened):
    model = opened(wall="venv")
    model.load(RECIPE)
    (child,) = [one for one in psutil.Process().children() if "isolated_models.py:Obedient" in " ".join(one.cmdline())]
    child.kill()
    child.wait(5)
    assert model.has_ended
    model.generate(asking("x"), RECIPE, 1)


@pytest.mark.slow
@pytest.mark.parametrize("wall", WALLS)
def test_silence_is_ended_in_time_with_all_that_was_started(opened, wall):
    model = opened(wall=wall, seconds=0.5)
    began = time.monotonic()
    with pytest.raises(ModelProcessError, match=r"no answer to `generate` within 0\.5 s") as failed:
        model.generate(asking("children"), RECIPE, 1)
    assert time.monotonic() - began < 20
    if wall == "venv":  # behind bwrap it has a number of its own
        number = int(str(failed.value).rpartition("child ")[2].split()[0])
        assert number not in psutil.pids() or psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    model.generate(asking("x"), RECIPE, 1)


@pytest.mark.slow
@pytest.mark.parametrize("wall", WALLS)
def test_memory_beyond_the_limit_is_out_of_memory_and_the_session_goes_on(opened, wall):
    model = opened(wall=wall, memory_gib=0.5)
    with pytest.raises(ModelOutOfMemory) as failed:
        model.generate(asking("hog"), RECIPE, 1)
    assert ran_out_of_memory(failed.value), "recorded as `oom`"
    model.generate(asking("x"), RECIPE, 1)


def test_a_model_that_does_not_load_is_told_with_its_reason(opened):
    with pytest.raises(ModelProcessError, match="ImportError: no such library: cpu"):
        opened("Breaks", wall="venv").load(RECIPE)
    with pytest.raises(ModelProcessError, match="has no attribute 'Nothing'"):
        opened("Nothing", wall="venv").load(RECIPE)


def test_a_server_of_ones_own_is_a_command():
    answers = (
        "import sys, json\nfor line in sys.stdin: print(json.dumps({'ok': True, 'id': 1, 'version': 7}), flush=True)"
    )
    newer = read_settings({"command": [sys.executable, "-c", answers], "wall": "venv"}, beside=HERE, where="t")
    with pytest.raises(ModelProcessError, match=r"speaks version 7 of the protocol, this pytest-vdb version 1"):
        IsolatedModel("newer", newer, "cpu").load(RECIPE)
    lost = read_settings({"command": ["no-such-program"], "wall": "venv"}, beside=HERE, where="t")
    with pytest.raises(ModelProcessError):
        IsolatedModel("lost", lost, "cpu").load(RECIPE)


def test_a_conditioning_image_is_put_where_the_process_can_read_it(opened, tmp_path):
    (tmp_path / "first.png").write_bytes(b"pixels")
    model = opened("Shows", serve=f"{tmp_path}/shows.py:shows", wall="venv")
    (tmp_path / "shows.py").write_text(
        "import numpy as np\n"
        "def shows(prompt, recipe, seed):\n"
        "    raise ValueError(open(prompt.image, 'rb').read().decode() + prompt.image[-10:])\n"
    )
    with pytest.raises(ModelProcessError, match=r"ValueError: pixels/image\.png"):
        model.generate(Prompt(id="p", text="x", image=str(tmp_path / "first.png")), RECIPE, 1)
    with pytest.raises(PromptError, match="there is no such file"):
        model.generate(Prompt(id="p", text="x", image=str(tmp_path / "second.png")), RECIPE, 1)


# How a user says it ---------------------------------------------------------------------------------------------------


@isolated(serve="isolated_models.py:noise", wall="venv")
def said_here():
    """What is started is named."""


@isolated(wall="venv", memory_gib=2)
def itself():
    """What is started is this."""


def test_the_decorator_takes_paths_from_its_file_and_serves_what_it_stands_on():
    assert isolation_of(said_here).path("x") == HERE / "x"
    assert isolation_of(itself).serve == "test_models_isolated.py:itself"
    assert isolation_of(asking) is None


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"wall": "bwarp"}, "did you mean 'bwrap'"),
        ({"memory": 3}, "did you mean 'memory_gib'"),
        ({"memory_gib": "3"}, "memory_gib"),
        ({"seconds": 0}, "`seconds` is 0"),
        ({"wall": "docker"}, "without an `image`"),
        ({"command": ["python"]}, "either `serve` or `command`"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_name(settings, told):
    with pytest.raises(CardError) as refused:
        read_settings({"serve": "model:x", **settings}, beside=HERE, where="isolated.toml")
    assert told in str(refused.value)
    assert str(refused.value).startswith("isolated.toml")


CARD = """
[model]
name = "boxed"
task = "t2v"
notes = "Noise from a box."
defaults = {frames = 4, height = 16, width = 16, fps = 8.0}

[isolated]
serve = "boxed:noise"
wall = "venv"
"""


def boxed(folder: Path, card: str = CARD) -> Path:
    (folder / "boxed.py").write_text((HERE / "isolated_models.py").read_text())
    (folder / "isolated.toml").write_text(card)
    return folder


def test_a_card_in_a_folder_is_a_model_of_the_registry(tmp_path):
    registry = Registry.from_catalog()
    (card,) = registry.select(f"isolated:{boxed(tmp_path).name}", folder=tmp_path.parent)
    assert (card.name, card.notes, card.defaults.frames) == ("boxed", "Noise from a box.", 4)
    assert registry.select(f"isolated:{tmp_path}") == (card,)
    source = WeightsSource(mode="tiny", device="cpu", cache_dir=tmp_path)
    model = registry.open(card, RECIPE, source)
    assert model.generate(asking("x"), RECIPE, 3).frames.shape == (4, 16, 16, 3)
    model.close()


def test_the_fingerprint_changes_with_the_models_files_and_not_with_its_limits(tmp_path):
    def of_folder() -> str:
        card, isolation = card_of_folder(f"isolated:{tmp_path}")
        return fingerprint(card.name, isolation)

    boxed(tmp_path)
    first = of_folder()
    boxed(tmp_path, CARD + "seconds = 5\n")
    assert of_folder() == first
    (tmp_path / "boxed.py").write_text("noise = None\n")
    assert of_folder() != first


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ("", "either `serve` or `command`"),
        (CARD.replace("frames", "frame"), "did you mean 'frames'"),
        (CARD.replace('"t2v"', '"tv"'), "unknown task"),
        (CARD + "[other]\n", "its tables are"),
        (CARD.replace('"boxed"', "3"), "are texts"),
    ],
)
def test_a_wrong_card_is_refused_with_its_place(card, told, tmp_path):
    with pytest.raises(CardError) as refused:
        card_of_folder(f"isolated:{boxed(tmp_path, card)}")
    assert told in str(refused.value)
    assert "isolated.toml" in str(refused.value)


def test_what_is_not_there_is_said_before_anything_is_started(opened, tmp_path):
    for settings, told in (
        ({"python": "no/python"}, "there is no Python"),
        ({"serve": "module:name"}, "name a file, or the `folder`"),
        ({"folder": "nowhere"}, "there is no folder"),
    ):
        with pytest.raises(CardError, match=told):
            opened(wall="venv", **settings).load(RECIPE)


def test_a_wall_that_is_not_installed_is_a_reason_to_skip(opened, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WallMissing, match="podman is not installed"):
        opened(wall="podman", image="x").load(RECIPE)
    assert os.environ["PATH"] == str(tmp_path)
