"""What a model behind bwrap tries and does not reach, and rubbish that it answers: each is one error that says it."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from pytest_vdb.errors import BadClip, ModelProcessError, TooLarge
from pytest_vdb.models.isolated import IsolatedModel
from pytest_vdb.models.isolation.limits import NO_GROUP
from pytest_vdb.models.isolation.settings import read_settings
from pytest_vdb.models.isolation.walls import why_no_bwrap
from pytest_vdb.records import Clip, Prompt, Recipe

pytestmark = pytest.mark.skipif(why_no_bwrap() is not None, reason=str(why_no_bwrap()))

HERE = Path(__file__).parent
RECIPE = Recipe(frames=2, height=4, width=4, fps=8.0)


def started(name: str, **settings: object) -> IsolatedModel:
    told = {"serve": f"isolated_models.py:{name}", **settings}
    return IsolatedModel(name.lower(), read_settings(told, beside=HERE, where="test"), "cpu")


def ask(model: IsolatedModel, text: str) -> Clip:
    return model.generate(Prompt(id="p001", text=text), RECIPE, 1)


@pytest.fixture(scope="module")
def jailed() -> Iterator[IsolatedModel]:
    model = started("Obedient")
    yield model
    model.close()


@pytest.fixture
def listening() -> Iterator[str]:
    """An address of this machine that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def found(model: IsolatedModel, text: str) -> str:
    """What it says that it reached, or the error that it met."""
    with pytest.raises(ModelProcessError) as told:
        ask(model, text)
    return str(told.value)


def test_a_secret_file_is_not_there(jailed, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("the secret")
    for path in (
        secret,
        "/etc/passwd",
        "/etc/shadow",
        Path.home() / ".bashrc",
        Path(__file__),
        f"/proc/{os.getpid()}/environ",
    ):
        said = found(jailed, f"read {path}")
        assert "FOUND" not in said
        assert "FileNotFoundError" in said


def test_nothing_outside_can_be_written(jailed, tmp_path):
    places = [tmp_path / "planted", HERE / "planted", "/usr/planted", "/planted"]
    places += ["/vdb/serve.py", "/vdb/model/isolated_models.py"]
    for path in places:
        found(jailed, f"write {path}")
        assert not (str(path).endswith("planted") and Path(path).exists())
    assert "FOUND wrote" in found(jailed, "write /tmp/own"), "its own scratch, which nobody else sees"
    assert not Path("/tmp/own").exists()
    assert (HERE / "isolated_models.py").stat().st_size > 1000


def test_no_packet_leaves(jailed, listening):
    assert "ConnectionRefusedError" in found(jailed, f"connect {listening}")
    assert "Network is unreachable" in found(jailed, "connect 192.0.2.2:22")
    outside = started("Obedient", wall="venv")
    try:
        assert "FOUND connected" in found(outside, f"connect {listening}"), "a venv is no wall, and somebody listens"
    finally:
        outside.close()


def test_the_environment_and_other_processes_are_not_seen(monkeypatch):
    monkeypatch.setenv("VDB_TOKEN", "secret")
    model = started("Obedient", environment={"ITS_OWN": "told"})
    try:
        assert "FOUND nothing" in found(model, "environment VDB_TOKEN")
        assert "FOUND told" in found(model, "environment ITS_OWN")
        assert str(os.getpid()) not in found(model, "processes")
        assert "FOUND [1, 2]" in found(model, "processes")
    finally:
        model.close()


def test_processes_beyond_the_limit_are_refused_and_none_is_left(tmp_path):
    shutil.copy(HERE / "isolated_models.py", tmp_path / "forking.py")
    model = started("Obedient", serve=f"{tmp_path}/forking.py:Obedient", pids=20)
    said = found(model, "forks 100")
    notes = " ".join(model.notes)
    model.close()
    if NO_GROUP in notes:
        pytest.skip(NO_GROUP)
    assert int(said.partition("FOUND ")[2].split()[0]) < 20
    commands = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if "forking.py:Obedient" in command]


@pytest.mark.slow
def test_a_process_that_left_its_parents_ends_with_them(tmp_path):
    shutil.copy(HERE / "isolated_models.py", tmp_path / "leaving.py")
    model = started("Obedient", serve=f"{tmp_path}/leaving.py:Obedient", wall="venv")
    ask(model, "orphan")
    notes = " ".join(model.notes)
    model.close()
    if NO_GROUP in notes:
        pytest.skip(NO_GROUP)
    commands = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if "leaving.py:Obedient" in command]


def test_a_flood_on_stderr_is_read_and_its_end_kept(jailed):
    ask(jailed, "flood")
    with pytest.raises(ModelProcessError, match="no/such") as told:
        ask(jailed, "read no/such")
    assert len(str(told.value)) < 8000


def test_folders_deeper_than_any_path_are_removed(jailed):
    for _ in range(2):
        ask(jailed, "deep 3000")
    model = started("Obedient")
    ask(model, "deep 3000")
    model.close()


def test_a_process_that_goes_on_writing_after_its_answer_costs_no_other_clip(jailed):
    ask(jailed, "churn 1")
    began = time.monotonic()
    while time.monotonic() < began + 0.5:
        ask(jailed, "x")


def test_what_is_no_text_is_told_all_the_same(jailed):
    assert "FOUND \\udcff" in found(jailed, "half")


@pytest.fixture
def talker() -> Iterator[IsolatedModel]:
    model = started("Rubbish", seconds=10)
    yield model
    model.close()


@pytest.mark.parametrize(
    ("deed", "error", "told"),
    [
        ("wrong", BadClip, r"wrote uint8 \(2, 4, 4, 3\) and said uint8 \(2, 4, 4, 4\)"),
        ("floats", BadClip, "frames of type float64"),
        ("flat", BadClip, r"shape \(2, 4, 4\)"),
        ("nan", ModelProcessError, "no answer but"),
        ("negative", BadClip, "-1.0 frames per second"),
        ("missing", BadClip, "no plain file: No such file"),
        ("pipe", BadClip, "no plain file"),
        ("folder", BadClip, "no plain file"),
        ("pickled", BadClip, "Python objects"),
        ("promise", BadClip, "promises 96 bytes"),
        ("huge", TooLarge, "more than"),
        ("line", ModelProcessError, "an answer of more than"),
        ("nothing", ModelProcessError, "no answer but"),
        ("early", ModelProcessError, "it answers request 2, not 3"),
        ("deep", ModelProcessError, "no answer but"),
        ("number", ModelProcessError, "no answer but '17'"),
    ],
)
def test_rubbish_is_one_error_that_says_what_it_was(talker, deed, error, told):
    with pytest.raises(error, match=told) as raised:
        ask(talker, deed)
    assert "rubbish" in str(raised.value), "the model is named"


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_clip(talker):
    ask(talker, "more")
    with pytest.raises(ModelProcessError, match=r"more than it was asked for|answers request 3, not 4"):
        ask(talker, "talk")
    assert talker.has_ended


def test_a_link_in_the_place_of_a_clip_is_not_followed(talker, tmp_path):
    np.save(tmp_path / "other.npy", np.zeros((2, 4, 4, 3), np.uint8))
    with pytest.raises(BadClip, match="no plain file"):
        ask(talker, f"link {tmp_path / 'other.npy'}")
    assert (tmp_path / "other.npy").exists(), "and what it names is not removed"


def test_notes_are_few_short_and_harmless(talker):
    ask(talker, "talk")
    assert all(len(note) <= 300 and note.isprintable() for note in talker.notes)
    assert len(talker.notes) < 15
