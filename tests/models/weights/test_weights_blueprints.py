"""The data that pipelines are described in: references, inheritance, and what is wrong said by name."""

from __future__ import annotations

import pytest

from pytest_vdb.errors import CardError, UnknownName
from pytest_vdb.models.weights import blueprints

PARTS = """
[parts.engine]
class = "collections.Counter"
red = 1
blue = 2

[parts.small-engine]
part = "engine"
blue = 0
"""


@pytest.fixture
def read(tmp_path):
    """Write TOML files and read them as a scale."""
    (tmp_path / "toy").mkdir()

    def reader(**files):
        for name, text in files.items():
            (tmp_path / "toy" / f"{name}.toml").write_text(text)
        return blueprints.blueprints("toy", tmp_path)

    return reader


def test_a_part_may_be_built_upon_a_part_of_another_file(read):
    pipelines = 'pipelines.Car.components.engine = { part = "small-engine", green = 3 }'
    engine = read(a=pipelines, b=PARTS)["Car"].components["engine"]
    assert engine == {"class": "collections.Counter", "red": 1, "blue": 0, "green": 3}
    assert blueprints.construct(engine) == {"red": 1, "blue": 0, "green": 3}


def test_none_and_plain_values_are_passed_on():
    assert blueprints.construct("none") is None
    assert blueprints.construct(0.875) == 0.875
    assert blueprints.construct({"class": "collections.ChainMap"}) == {}


def test_a_pipeline_like_another_differs_only_where_it_says_so(read):
    cars = """
    [pipelines.Car]
    components = { engine = "engine", wheels = 4 }
    call = { speed = 1, gear = "none" }
    published = { engine = 3 }
    [pipelines.Tricycle]
    like = "Car"
    components = { wheels = 3 }
    """
    tricycle = read(a=PARTS + cars)["Tricycle"]
    assert tricycle.pipeline == "Tricycle"
    assert tricycle.components["wheels"] == 3
    assert tricycle.components["engine"]["red"] == 1
    assert tricycle.call == {"speed": 1, "gear": None}
    assert tricycle.published == {}


def test_an_unknown_part_names_who_asked_and_what_is_near(read):
    with pytest.raises(UnknownName, match="Car: unknown part 'engin'\n  did you mean 'engine'"):
        read(a='pipelines.Car.components.engine = "engin"', b=PARTS)


def test_a_name_defined_twice_is_refused(read):
    with pytest.raises(CardError, match=r"b\.toml: parts\.engine is defined twice"):
        read(a=PARTS, b=PARTS)


def test_a_pipeline_like_itself_is_refused(read):
    with pytest.raises(CardError, match="Car is like 'Car'"):
        read(a='pipelines.Car.like = "Car"')


def test_a_class_that_the_library_lacks_says_how_to_mend_it():
    with pytest.raises(
        CardError, match=r"collections\.Nothing cannot be imported.*\n  the installed library may be too old"
    ):
        blueprints.construct({"class": "collections.Nothing"})


@pytest.mark.slow
def test_reading_the_data_imports_no_torch():
    import subprocess
    import sys

    program = (
        "import sys; from pytest_vdb.models.weights import architectures, tiny\n"
        "assert tiny.pipeline_classes() and architectures.names()\n"
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
