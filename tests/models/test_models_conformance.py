"""What any model must do: real tiny pipelines do it, and each way of not doing it is caught by its own check."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pytest_vdb import Clip, model
from pytest_vdb.models.conformance import CHECKS, Examination
from pytest_vdb.models.contract import DETERMINISTIC
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.recorded import PREFIX
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.records import Recipe, digest
from pytest_vdb.video import write_lossless

SMALL = {"frames": 4, "height": 16, "width": 16, "fps": 8.0}


def noise(recipe, *, seed=0, prompt=None):
    rng = np.random.default_rng([seed, int(digest(prompt, length=8), 16)])
    return Clip(rng.integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)


@model("good", frame_rule="4k+1 from 5", size_multiple=8, **SMALL | {"frames": 9})
class Good:
    """Noise that depends on prompt and seed alone."""

    def generate(self, prompt, recipe, seed):
        return noise(recipe, seed=seed, prompt=prompt.text)


@model("good-function", **SMALL)
def good_function(prompt, recipe, seed):
    return noise(recipe, seed=seed, prompt=prompt.text)


@model("ignores-its-seed", **SMALL)
def ignores_its_seed(prompt, recipe, seed):
    return noise(recipe, prompt=prompt.text)


@model("has-no-randomness", tags=(DETERMINISTIC,), **SMALL)
def has_no_randomness(prompt, recipe, seed):
    return noise(recipe, prompt=prompt.text)


@model("ignores-its-prompt", **SMALL)
def ignores_its_prompt(prompt, recipe, seed):
    return noise(recipe, seed=seed)


@model("ignores-its-image", task="i2v", **SMALL)
def ignores_its_image(prompt, recipe, seed):
    return noise(recipe, seed=seed, prompt=prompt.text)


@model("wrong-size", **SMALL)
def wrong_size(prompt, recipe, seed):
    clip = noise(recipe, seed=seed, prompt=prompt.text)
    return Clip(clip.frames[:, :-2], clip.fps + 1)


@model("one-colour", **SMALL)
def one_colour(prompt, recipe, seed):
    return Clip(np.full((recipe.frames, recipe.height, recipe.width, 3), 7, np.uint8), recipe.fps)


@model("remembers-the-last-prompt", **SMALL)
class RemembersTheLastPrompt:
    """Every clip depends on the one before."""

    last = ""

    def generate(self, prompt, recipe, seed):
        clip = noise(recipe, seed=seed, prompt=prompt.text + self.last)
        self.last = prompt.text
        return clip


@model("always-four-frames", **SMALL)
def always_four_frames(prompt, recipe, seed):
    return Clip(np.resize(noise(recipe, seed=seed, prompt=prompt.text).frames, (4, 16, 16, 3)), recipe.fps)


@model("raises", **SMALL)
def raises(prompt, recipe, seed):
    raise RuntimeError("the sampler\ndiverged")


kept = []


@model("keeps-itself", **SMALL)
class KeepsItself(Good):
    """A global list refers to every instance."""

    def __init__(self):
        kept.append(self)


@model("keeps-its-memory", **SMALL)
class KeepsItsMemory(Good):
    """Lets go of itself, but not of what it took."""

    def __init__(self):
        kept.append(np.ones(100 * 2**20, np.uint8))


@model("cannot-load", **SMALL)
class CannotLoad:
    """Its checkpoint is torn."""

    def __init__(self):
        raise OSError("the checkpoint is truncated")


TAGGED = [
    *(Good, good_function, ignores_its_seed, has_no_randomness, ignores_its_prompt, ignores_its_image, wrong_size),
    *(one_colour, RemembersTheLastPrompt, always_four_frames, raises, KeepsItself, KeepsItsMemory, CannotLoad),
]


@pytest.fixture(scope="session")
def weights_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture
def examination(weights_dir):
    registry = Registry.from_catalog()
    for target in TAGGED:
        registry.add_from(target)
    opened = []
    source = WeightsSource(mode="tiny", device="cpu", cache_dir=weights_dir)

    def unload():
        if opened:
            opened.pop().close()

    def examine(name, watch=lambda model: None):
        card = registry.select(name)[0]
        recipe = resolve(card, Recipe(), "tiny")

        def load():
            if not opened:
                opened.append(registry.open(card, recipe, source))
                watch(opened[0])
            return opened[0]

        return Examination(card, recipe, load=load, unload=unload, device="cpu")

    yield examine
    unload()
    kept.clear()


@pytest.mark.parametrize("name", ["good", "good-function", "calibration-shapes", "calibration-noisy"])
def test_a_model_that_keeps_the_rules_passes_every_check(examination, name):
    findings = list(examination(name).findings())
    assert [finding.check for finding in findings] == ["load", *CHECKS]
    assert {finding.outcome for finding in findings} == {"passed"}, findings


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wan2.1-t2v-1.3b", "ltx-video-i2v", "wan2.1-v2v-1.3b", "helios-base"])
def test_a_real_tiny_pipeline_passes_every_check(examination, name):
    findings = list(examination(name).findings())
    assert {finding.outcome for finding in findings} == {"passed"}, findings
    assert "freed: model, pipeline" in findings[-1].detail


@pytest.mark.parametrize(
    ("name", "check", "said"),
    [
        ("ignores-its-seed", "other_seed", "the seed is ignored"),
        ("ignores-its-prompt", "prompt", "two different texts give the same clip"),
        ("ignores-its-image", "prompt", "two different conditioning images give the same clip"),
        ("wrong-size", "shape", "height 14 instead of 16; fps 9 instead of 8"),
        ("one-colour", "shape", "one constant colour (mean level 7 of 255)"),
        ("remembers-the-last-prompt", "same_seed", "gave other bytes after another clip was made in between"),
        ("always-four-frames", "frame_rule", "asked for 3 frames, which its rule any allows, it produced 4"),
        ("keeps-itself", "memory", "still referenced after unloading: object"),
    ],
)
def test_a_model_that_breaks_a_rule_fails_the_check_of_that_rule(examination, name, check, said):
    finding = examination(name).examine(check)
    assert finding.outcome == "failed"
    assert said in finding.detail


@pytest.mark.slow
def test_a_model_that_keeps_its_memory_fails_with_both_figures(examination):
    finding = examination("keeps-its-memory").examine("memory")
    assert finding.outcome == "failed"
    told = re.search(r"took (\d+) MiB, (\d+) MiB remain \(tolerance 64 MiB\)", finding.detail)
    assert [int(figure) for figure in told.groups()] == pytest.approx([100, 100], abs=20)  # others allocate too


@pytest.mark.slow
def test_a_kept_pipeline_is_named_part_by_part(examination):
    finding = examination("wan2.1-t2v-1.3b", watch=lambda model: kept.append(model.pipeline)).examine("memory")
    assert finding.outcome == "failed"
    assert {"transformer", "vae", "text_encoder"} <= set(finding.detail.partition(": ")[2].split(", "))


def test_an_illegal_frame_count_is_refused_with_its_neighbours_and_another_legal_one_is_made(examination):
    finding = examination("good").examine("frame_rule")
    assert finding.outcome == "passed"
    assert finding.detail == (
        "10 frames are refused before loading, with 9 and 13 as nearest; 5 frames are produced when asked for"
    )


def test_a_model_with_one_legal_count_is_not_asked_for_another(examination):
    assert "5 is its only legal count" in examination("chronoedit-14b").examine("frame_rule").detail


def test_a_model_that_says_it_has_no_randomness_need_not_follow_the_seed(examination):
    assert examination("has-no-randomness").examine("other_seed").outcome == "not_applicable"


def test_what_a_model_raises_is_the_finding_and_the_other_checks_go_on(examination):
    findings = {finding.check: finding for finding in examination("raises").findings()}
    assert findings["shape"].detail == "raised RuntimeError: the sampler diverged"
    assert set(findings) == {"load", *CHECKS}


def test_a_model_that_cannot_be_loaded_is_examined_no_further(examination):
    (finding,) = examination("cannot-load").findings()
    assert (finding.check, finding.outcome) == ("load", "failed")
    assert "the checkpoint is truncated" in finding.detail


def test_a_model_that_the_library_breaks_is_not_loaded(examination):
    (finding,) = examination("easyanimate-5.1-12b-control").findings()
    assert (finding.check, finding.outcome) == ("load", "not_applicable")


def test_a_folder_of_recordings_generates_nothing(examination, tmp_path):
    write_lossless(good_function(_prompt(), Recipe(**SMALL), 1), tmp_path / "p001.mkv")
    findings = list(examination(f"{PREFIX}{tmp_path}").findings())
    assert {finding.outcome for finding in findings[1:]} == {"not_applicable"}


def _prompt():
    from pytest_vdb.records import Prompt

    return Prompt(id="p001", text="a cat")
