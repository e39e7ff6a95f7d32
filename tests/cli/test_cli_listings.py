"""`vdb models`, `vdb prompts`, `vdb metrics`, as tables and as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vdb.cli import main


def test_models_lists_every_card(capsys):
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    assert "wan2.1-t2v-1.3b" in printed
    assert "calibration-shapes" in printed


def test_one_model_is_shown_in_full_with_the_command_that_runs_it(capsys):
    assert main(["models", "wan2.1-t2v-1.3b"]) == 0
    printed = capsys.readouterr().out
    assert "Wan-AI/Wan2.1-T2V-1.3B-Diffusers" in printed
    assert "pytest benchmarks/ --vdb-models=wan2.1-t2v-1.3b" in printed


def test_an_unknown_model_lists_the_near_misses(capsys):
    assert main(["models", "wan2.1-t2v-1.3"]) == 1
    assert "did you mean 'wan2.1-t2v-1.3b'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("models", ["wan2.1-t2v-1.3b", "ltx-video"]),
        ("metrics", ["sharpness", "niqe"]),
        ("estimate --gpu h100", ["svd", "ltx-video"]),
    ],
)
def test_names_are_listed_with_blanks_as_with_commas(command, names, capsys):
    answers = []
    for words in (names, [",".join(names)]):
        assert main([*command.split(), *words, "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1]
    assert len(answers[0]) == 2


@pytest.mark.parametrize("listing", ["models", "prompts", "metrics"])
def test_every_listing_speaks_json(listing, capsys):
    assert main([listing, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_the_prompts_of_a_category(capsys):
    assert main(["prompts", "standard-100:physics", "--json"]) == 0
    prompts = json.loads(capsys.readouterr().out)
    assert len(prompts) == 10
    assert {prompt["category"] for prompt in prompts} == {"physics"}


def test_the_images_of_a_list_are_shown_and_missed(tmp_path, capsys):
    entry = {"prompt_en": "a cat", "dimension": ["i2v_subject"], "image_type": "animal"}
    entries = [{**entry, "image_name": name} for name in ("a cat.jpg", "another cat.jpg")]
    (tmp_path / "i2v.json").write_text(json.dumps(entries))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a cat.jpg").write_bytes(b"")
    assert main(["prompts", str(tmp_path / "i2v.json"), "--json"]) == 0
    shown = capsys.readouterr()
    images = [Path(prompt["image"]).relative_to(tmp_path.resolve()) for prompt in json.loads(shown.out)]
    assert images == [Path("images/a cat.jpg"), Path("another cat.jpg")]
    assert "1 of its images are not there, e.g. " in shown.err
    assert "another cat.jpg" in shown.err


@pytest.mark.slow
def test_listings_import_no_torch():
    code = "import sys; from pytest_vdb.cli import main; main(['models']); main(['metrics'])"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.slow
def test_a_command_brings_in_what_it_needs_itself_when_it_runs():
    """Every file among the commands is imported for any of them: what stands at its top is paid by all."""
    code = "import sys; from pytest_vdb.cli import _parser; _parser(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in loaded if name.split(".")[:1] == ["pytest_vdb"] and name.split(".")[1:2] in DEAR]
    assert "numpy" not in loaded


DEAR = [["analysis"], ["bench"], ["exports"], ["metrics"], ["models"], ["reporters"], ["results"], ["statistics"]]


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "examples:" in capsys.readouterr().out
