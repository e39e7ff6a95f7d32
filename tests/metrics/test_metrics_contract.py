"""The contract: what a tag and a signature say about a metric."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_vdb.metrics
from pytest_vdb.errors import MetricError, UnknownName
from pytest_vdb.metrics.contract import Score, metric, spec_of
from pytest_vdb.metrics.registry import MetricRegistry


def test_a_tagged_function_stays_a_plain_function():
    @metric("spread", unit="1", better="higher")
    def spread(clip):
        """How far pixels spread."""
        return clip * 2

    assert spread(21) == 42
    assert spec_of(spread).summary == "How far pixels spread."


def test_parameter_names_say_what_a_metric_needs():
    @metric("fits", unit="1", better="higher")
    def fits(clip_image, clip_text, factor=2.0): ...

    spec = spec_of(fits)
    assert spec.inputs == ("clip_image", "clip_text")
    assert spec.features == ("clip_image", "clip_text")
    assert spec.backbones == ("clip",)


@pytest.mark.parametrize(
    ("function", "scope"),
    [
        (lambda clip: 0, "clip"),
        (lambda clip, prompt: 0, "clip"),
        (lambda clip, reference: 0, "pair"),
        (lambda clips: 0, "set"),
        (lambda dino_set: 0, "set"),
        (lambda dino_set, dino_reference: 0, "set"),
    ],
)
def test_the_scope_follows_from_the_parameters(function, scope):
    assert spec_of(metric("m", unit="1", better="neutral")(function)).scope == scope


def test_a_misspelt_parameter_is_refused_with_what_it_may_have_meant():
    @metric("m", unit="1", better="higher")
    def m(clip_imge): ...

    with pytest.raises(MetricError, match="did you mean clip_image"):
        MetricRegistry.builtin().add(spec_of(m))


@pytest.mark.parametrize(
    ("tag", "complaint"),
    [
        ({"name": "two words", "better": "higher"}, "no spaces"),
        ({"name": "m", "better": "more"}, "'higher', 'lower' or 'neutral'"),
        ({"name": "m", "better": "higher", "orders": ("smudged",)}, "known: blur, noise"),
    ],
)
def test_a_tag_that_makes_no_sense_is_refused(tag, complaint):
    with pytest.raises(MetricError, match=complaint):
        metric(unit="1", **tag)(lambda clip: 0)


def test_one_clip_and_all_clips_at_once_are_refused():
    with pytest.raises(MetricError, match="make it two metrics"):
        metric("m", unit="1", better="higher")(lambda clip, dino_set: 0)


def test_a_metric_of_parts_names_its_measurements():
    spec = spec_of(metric("psnr", unit="dB", better="higher", parts=("", "256"))(lambda clip, reference: 0))
    assert spec.part_names() == ("psnr", "psnr.256")


def test_metrics_are_selected_by_name_glob_part_and_word():
    registry = MetricRegistry()

    class Plugin:
        a = metric("flow.a", unit="1", better="higher")(lambda clip: 0)
        b = metric("flow.b", unit="1", better="higher", default=False)(lambda clip: 0)
        c = metric("c", unit="1", better="higher", parts=("", "x"))(lambda clip: Score(0))
        pair = metric("pair", unit="1", better="higher")(lambda clip, reference: 0)

    registry.add_from(Plugin)
    texts = ("flow.*", "c.x", "default", "all", "none", "c,c")
    names = {text: [spec.name for spec in registry.select(text)] for text in texts}
    assert names == {
        "flow.*": ["flow.a", "flow.b"],
        "c.x": ["c"],
        "default": ["flow.a", "c", "pair"],
        "all": ["flow.a", "flow.b", "c", "pair"],
        "none": [],
        "c,c": ["c"],
    }


def test_the_default_has_paired_metrics_only_where_there_is_something_to_compare_with():
    registry = MetricRegistry.builtin()
    chosen = {spec.name for spec in registry.select("default,fsim", paired=False)}
    assert {"sharpness", "fsim"} <= chosen  # what is asked for by name is measured, or says what it lacks
    assert "psnr" not in chosen
    assert {"psnr", "ssim", "lpips"} <= {spec.name for spec in registry.select("default")}


def test_a_typo_in_a_metric_lists_the_near_misses():
    with pytest.raises(UnknownName, match="did you mean 'sharpness'"):
        MetricRegistry.builtin().select("sharpnes")


def test_a_glob_that_matches_nothing_is_refused():
    with pytest.raises(UnknownName, match="zz"):
        MetricRegistry.builtin().select("zz*")


def test_two_metrics_of_one_name_are_refused():
    registry = MetricRegistry.builtin()
    with pytest.raises(MetricError, match="two metrics are called 'sharpness'"):
        registry.add(spec_of(metric("sharpness", unit="1", better="higher")(lambda clip: 0)))


def test_a_metric_is_not_called_as_the_score_of_several():
    mine = spec_of(metric("overall", unit="1", better="higher")(lambda clip: 0))
    with pytest.raises(MetricError, match="a metric is called 'overall', as a leaderboard calls"):
        MetricRegistry.builtin().add(mine)


def test_the_same_metric_seen_twice_is_one():
    registry = MetricRegistry.builtin()
    before = registry.names()
    for spec in tuple(registry):
        registry.add(spec)
    assert registry.names() == before


def test_every_metric_says_what_it_is():
    for spec in MetricRegistry.builtin():
        assert spec.summary.endswith("."), spec.name
        assert spec.unit, spec.name


@pytest.mark.slow
def test_listing_metrics_imports_no_torch():
    script = (
        "import sys; from pytest_vdb.metrics.registry import MetricRegistry; MetricRegistry.builtin();"
        "print([m for m in ('torch', 'scipy', 'transformers', 'open_clip', 'PIL') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_every_metric_that_a_file_of_the_room_tags_is_found():
    folder = Path(pytest_vdb.metrics.__file__).parent
    tagged = {path.stem for path in folder.glob("*.py") if re.search(r"\bmetric\(\s*f?\"", path.read_text())}
    assert {spec.function.__module__.rpartition(".")[2] for spec in MetricRegistry.builtin()} == tagged


@pytest.mark.parametrize(("bounds", "value"), [((0, 1), 1.1), ((0, 1), -0.1), ((0, None), -1.0), ((None, 2), 3.0)])
def test_a_value_beyond_the_bounds_cannot_be_and_rounding_can(bounds, value):
    spec = spec_of(metric("m", unit="1", better="higher", bounds=bounds)(lambda clip: 0))
    ends = [end for end in bounds if end is not None]
    assert not spec.could_be(value)
    assert all(spec.could_be(end + step) for end in ends for step in (-1e-7, 0, 1e-7))


def test_bounds_that_are_the_wrong_way_round_are_refused():
    with pytest.raises(MetricError, match="the lowest value first"):
        metric("m", unit="1", better="higher", bounds=(1, 0))(lambda clip: 0)
