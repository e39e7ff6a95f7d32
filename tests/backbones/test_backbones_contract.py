"""The contract and the registry: what a tag says of a network, and which networks there are."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pytest_vdb.backbones
from pytest_vdb import Clip, Feature, backbone, metric
from pytest_vdb.backbones.contract import BackboneSource, Subject, spec_of
from pytest_vdb.backbones.registry import BackboneRegistry
from pytest_vdb.errors import MetricError, UnknownName, WeightsMissing
from pytest_vdb.metrics.engine import Engine
from pytest_vdb.metrics.registry import MetricRegistry


class Colours:
    """The mean colour of each frame."""

    looks = 0

    def __init__(self, source):
        self.identity = "mean" if source.path is None else source.path.stem

    def features(self, name, subject):
        type(self).looks += 1
        return subject.clip.frames.mean(axis=(1, 2))


def drift(mean_colours) -> float:
    return float(abs(mean_colours[-1] - mean_colours[0]).max())


def kind_of(base: type = Colours) -> type:
    """A class of its own, so that no test sees another's tag."""
    return type("Kind", (base,), {"features": base.features, "__doc__": base.__doc__})


def clip(frames: int = 4) -> Clip:
    return Clip(np.random.default_rng(0).integers(0, 256, (frames, 8, 8, 3), np.uint8), 8.0)


def measured(spec, *, kind: type, **options):
    """A clip measured by one metric of a registry that knows one network more."""

    class Plugin:
        network = kind
        tagged = spec

    registry = MetricRegistry.builtin()
    return Engine(registry.add_from(Plugin), **options).measure(clip())


def test_a_tagged_class_stays_a_plain_class():
    tagged = backbone("colours", features="mean_colours")(kind_of())
    assert tagged(BackboneSource()).features("mean_colours", Subject(clip=clip())).shape == (4, 3)
    spec = spec_of(tagged)
    assert spec.about == "The mean colour of each frame."
    assert spec.features == (Feature("mean_colours"),)


def test_what_inherits_from_a_network_is_not_tagged_by_that():
    assert spec_of(kind_of(backbone("colours", features="mean_colours")(kind_of()))) is None


def test_a_metric_looks_through_a_network_of_the_users_own(tmp_path):
    tagged = backbone("colours", features="mean_colours")(kind_of())
    scores = measured(metric("drift", unit="levels", better="lower")(drift), kind=tagged, cache_dir=tmp_path)
    (measurement,) = scores.measurements
    assert measurement.value == drift(clip().frames.mean(axis=(1, 2)).astype(np.float32))
    assert measurement.version == "1+mean"
    assert scores.features["mean_colours"].dtype == np.float32
    assert scores.identities == {"mean_colours": "mean"}


def test_the_order_in_which_metric_and_network_are_tagged_does_not_matter(tmp_path):
    asked_first = metric("drift", unit="levels", better="lower")(drift)
    tagged = backbone("colours", features="mean_colours")(kind_of())
    assert measured(asked_first, kind=tagged, cache_dir=tmp_path).measurements[0].value is not None


def test_its_own_weights_reach_it_and_the_version(tmp_path):
    tagged = backbone("colours", features="mean_colours")(kind_of())
    paths = {"colours": tmp_path / "trained.pt"}
    spec = metric("drift", unit="levels", better="lower")(drift)
    scores = measured(spec, kind=tagged, backbone_paths=paths, cache_dir=tmp_path)
    assert scores.measurements[0].version == "1+trained"


def test_each_feature_is_computed_once_however_many_metrics_ask(tmp_path):
    tagged = backbone("colours", features="mean_colours")(kind_of())

    class Plugin:
        network = tagged
        one = metric("one", unit="1", better="lower")(lambda mean_colours: 1.0)
        two = metric("two", unit="1", better="lower")(lambda mean_colours: 2.0)

    Engine(MetricRegistry.builtin().add_from(Plugin), cache_dir=tmp_path).measure(clip())
    assert tagged.looks == 1


def test_a_set_metric_asks_for_a_users_feature_of_all_clips(tmp_path):
    tagged = backbone("colours", features="mean_colours")(kind_of())

    class Plugin:
        network = tagged
        count = metric("count", unit="clips", better="neutral")(lambda mean_colours_set: float(len(mean_colours_set)))

    (spec,) = MetricRegistry.builtin().add_from(Plugin)
    assert spec.scope == "set"
    engine = Engine([spec], cache_dir=tmp_path)
    assert engine.measure_set([engine.measure(clip()), engine.measure(clip())])[0].value == 2


def test_fewer_frames_than_a_feature_declares_are_a_reason(tmp_path):
    tagged = backbone("colours", features=Feature("mean_colours", frames=5))(kind_of())
    spec = metric("drift", unit="levels", better="lower")(drift)
    (measurement,) = measured(spec, kind=tagged, cache_dir=tmp_path).measurements
    assert (measurement.value, measurement.reason) == (None, "needs 5 frames, got 4")


def test_weights_that_are_not_there_are_the_reason(tmp_path):
    class Absent(Colours):
        def __init__(self, source):
            raise WeightsMissing("the weights of 'colours' are not here", mend="get them")

        def features(self, name, subject): ...

    tagged = backbone("colours", features="mean_colours")(Absent)
    spec = metric("drift", unit="levels", better="lower")(drift)
    (measurement,) = measured(spec, kind=tagged, cache_dir=tmp_path).measurements
    assert measurement.value is None
    assert "the weights of 'colours' are not here" in measurement.reason


def test_what_a_network_raises_names_it(tmp_path):
    class Broken(Colours):
        def features(self, name, subject):
            raise ZeroDivisionError

    tagged = backbone("colours", features="mean_colours")(Broken)
    with pytest.raises(ZeroDivisionError) as raised:
        measured(metric("drift", unit="levels", better="lower")(drift), kind=tagged, cache_dir=tmp_path)
    assert raised.value.__notes__ == ["while looking through 'colours'"]


def test_a_network_that_does_not_say_its_weights_is_refused(tmp_path):
    class Nameless(Colours):
        def __init__(self, source): ...

        def features(self, name, subject): ...

    tagged = backbone("colours", features="mean_colours")(Nameless)
    with pytest.raises(MetricError, match=r"set self\.identity"):
        measured(metric("drift", unit="levels", better="lower")(drift), kind=tagged, cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("tag", "complaint"),
    [
        ({"name": "two words", "features": "f"}, "no spaces"),
        ({"name": "a=b", "features": "f"}, "equals signs"),
        ({"name": "n", "features": ()}, "gives no feature"),
        ({"name": "n", "features": "not-a-name"}, "an identifier"),
        ({"name": "n", "features": "f_set"}, "does not end in _set"),
        ({"name": "n", "features": ["f", "clip"]}, "a feature named 'clip'"),
    ],
)
def test_a_tag_that_makes_no_sense_is_refused(tag, complaint):
    with pytest.raises(MetricError, match=complaint):
        backbone(**tag)(kind_of())


def test_a_class_that_cannot_be_opened_or_gives_nothing_is_refused():
    class TakesNothing:
        def features(self, name, subject): ...

    class GivesNothing:
        def __init__(self, source): ...

    for kind, mend in (
        (TakesNothing, "__init__\\(self, source\\)"),
        (GivesNothing, "features\\(self, name, subject\\)"),
    ):
        with pytest.raises(MetricError, match=mend):
            backbone("n", features="f")(kind)


def test_two_networks_of_one_name_or_one_feature_are_refused_with_both_places():
    registry = BackboneRegistry.builtin()
    with pytest.raises(MetricError, match=r"two networks are called 'dino'.*dino\.py:\d+ \(Dino\).*test_backbones"):
        registry.add(spec_of(backbone("dino", features="mine")(kind_of())))
    with pytest.raises(MetricError, match="two networks give 'clip_image'"):
        registry.add(spec_of(backbone("mine", features="clip_image")(kind_of())))


def test_the_same_network_seen_twice_is_one():
    registry = BackboneRegistry.builtin()
    before = registry.names()
    for network in tuple(registry):
        registry.add(network)
    assert registry.names() == before


def test_networks_are_selected_by_name_and_glob_and_a_typo_lists_near_misses():
    registry = BackboneRegistry.builtin()
    assert [network.name for network in registry.select("raft*,clip,raft")] == ["raft", "raft_large", "clip"]
    assert registry.select("all") == tuple(registry)
    with pytest.raises(UnknownName, match="did you mean 'raft'"):
        registry.select("raftt")


def test_a_metric_that_asks_for_a_network_that_is_not_there_says_what_it_may_have_meant():
    spec = metric("drift", unit="levels", better="lower")(lambda mean_colour: 0.0)

    class Plugin:
        network = backbone("colours", features="mean_colours")(kind_of())
        tagged = spec

    with pytest.raises(MetricError, match=r"did you mean mean_colours\?"):
        MetricRegistry.builtin().add_from(Plugin)
    with pytest.raises(MetricError, match="nothing that is measured"):
        Engine([spec], cache_dir=Path())


def test_every_network_that_a_file_of_the_room_tags_is_found():
    folder = Path(pytest_vdb.backbones.__file__).parent
    classes = [one for path in folder.glob("*.py") for one in ast.parse(path.read_text()).body]
    tags = [tag for one in classes if isinstance(one, ast.ClassDef) for tag in one.decorator_list]
    tagged = [tag.args[0].value for tag in tags if isinstance(tag, ast.Call) and tag.func.id == "backbone"]
    assert sorted(tagged) == list(BackboneRegistry.builtin().names())


def test_every_network_says_what_it_is_and_where_it_comes_from():
    for network in BackboneRegistry.builtin():
        for said in ("about", "repository", "licence", "size_mib"):
            assert getattr(network, said), f"@backbone({network.name!r}) does not say its {said}"
        for feature in network.features:
            assert feature.about, (
                f"{network.name}: Feature({feature.name!r}, about=...) says what it is and of what shape"
            )


@pytest.mark.slow
def test_listing_networks_imports_no_torch():
    script = (
        "import sys; from pytest_vdb.backbones.registry import BackboneRegistry; BackboneRegistry.builtin();"
        "print([m for m in ('torch', 'scipy', 'transformers', 'open_clip', 'PIL', 'timm') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
