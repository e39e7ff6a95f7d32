"""`vdb check` and `vdb models --check`: real tiny pipelines and a user's own file, printed, as JSON and as Markdown."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_vdb.cli import listings, main
from pytest_vdb.models.conformance import CHECKS
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.weights import parameter_counts

OWN = """
import numpy as np
from pytest_vdb import Clip, model

def noise(recipe, numbers):
    rng = np.random.default_rng(numbers)
    return Clip(rng.integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)

@model("mine", frame_rule="2k", frames=4, height=16, width=16, fps=8.0)
class Mine:
    def generate(self, prompt, recipe, seed):
        return noise(recipe, [seed, *prompt.text.encode()])

@model("careless|<b>", frames=4, height=16, width=16, fps=8.0)
def careless(prompt, recipe, seed):
    return noise(recipe, [1])
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "own_models.py").write_text(OWN)
    return "own_models.py"


def test_a_users_own_model_is_checked_and_passes(own, capsys):
    assert main(["check", "mine", "--from", own]) == 0
    printed = capsys.readouterr().out
    assert all(check in printed for check in CHECKS)
    assert "FAILED" not in printed


def test_a_model_that_fails_gives_exit_status_1_and_says_which_checks(own, capsys):
    assert main(["check", "careless*", "--from", own, "--json"]) == 1
    (report,) = json.loads(capsys.readouterr().out)["reports"]
    failed = {finding["check"] for finding in report["findings"] if finding["outcome"] == "failed"}
    assert failed == {"other_seed", "prompt"}
    assert report["passed"] is False


@pytest.mark.slow
def test_the_markdown_names_model_revision_environment_and_every_finding(own, tmp_path, capsys):
    output = tmp_path / "reports" / "conformance.md"
    assert main(["check", "ltx-video,careless*", "--from", own, "--output", str(output)]) == 1
    text = output.read_text()
    assert "## ltx-video: passed" in text
    assert "| from | Lightricks/LTX-Video |" in text
    assert "(its weights were not loaded)" in text
    assert "| weights | tiny |" in text
    assert "| packages | pytest-vdb" in text
    assert all(f"| {check} | {asks} | passed |" in text for check, asks in CHECKS.items())
    assert "## careless\\|&lt;b>: 2 failed" in text


def test_json_holds_the_environment_and_the_recipe_that_was_followed(own, capsys):
    assert main(["check", "mine", "--from", own, "--json", "--recipe", "frames=6"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["environment"]["packages"]["pytest-vdb"]
    assert printed["reports"][0]["recipe"]["frames"] == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mine"], "unknown model 'mine'"),
        (["mine", "--from", "nowhere.py"], "--from: 'nowhere.py'"),
        (["ltx-video", "--recipe", "frames=10"], "nearest: 9 or 17"),
        (["ltx-video", "--weights", "tini"], "did you mean 'tiny'"),
        (["ltx-video", "--weights", "local"], "needs the folder of the weights"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_loaded(own, capsys, arguments, said):
    assert main(["check", *arguments]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_model_without_its_weights_fails_to_load_and_says_how_to_get_them(own, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", "empty")
    assert main(["check", "ltx-video", "--weights", "hub", "--json"]) == 1
    (report,) = json.loads(capsys.readouterr().out)["reports"]
    (finding,) = report["findings"]
    assert finding["check"] == "load"
    assert "WeightsMissing" in finding["detail"]
    assert "Lightricks/LTX-Video" in finding["detail"]


@pytest.mark.slow
def test_cards_are_compared_with_the_counted_parameters(capsys):
    assert main(["models", "wan2.1-t2v-1.3b,wan2.2-t2v-a14b,calibration-shapes", "--check", "--json"]) == 0
    one, two_experts = json.loads(capsys.readouterr().out)
    assert one["counted"] == pytest.approx(1.419, abs=0.001)
    assert two_experts["counted"] == pytest.approx(2 * 14.288, abs=0.01)
    assert one["agrees"] is two_experts["agrees"] is True


@pytest.mark.slow
def test_a_card_that_is_off_by_more_than_two_percent_is_wrong(capsys):
    card = replace(Registry.from_catalog().get("cogvideox-2b"), parameters=2.0)
    assert listings.check_parameters((card,), as_json=False) == 1
    printed = capsys.readouterr().out
    assert "-15.3% WRONG" in printed
    assert "1 differ by more than 2%: cogvideox-2b" in printed


@pytest.mark.slow
def test_what_cannot_be_compared_is_neither_right_nor_wrong():
    registry = Registry.from_catalog()
    without_architecture = replace(registry.get("cogvideox-2b"), architecture=None)
    without_figure = replace(registry.get("cogvideox-2b"), parameters=None)
    assert parameter_counts.count(without_architecture).agrees is None
    assert parameter_counts.count(without_figure).agrees is None


@pytest.mark.heavy
def test_every_card_of_the_catalogue_agrees_with_its_architecture(capsys):
    assert main(["models", "--check"]) == 0
    assert " 0 differ" in capsys.readouterr().out
