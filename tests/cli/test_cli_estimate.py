"""`vdb estimate`: what fits, what it takes and what it costs, offline and at once."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from pytest_vdb.cli import main
from pytest_vdb.models import counts, recipes
from pytest_vdb.models.registry import Registry
from pytest_vdb.profiling import hardware
from pytest_vdb.records import Recipe
from pytest_vdb.results.environment import capture

KEYS = {"model", "gpu", "fits", "seconds", "seconds_low", "seconds_high", "joules", "cost", "rests_on"}
ML_ENERGY = "wan2.1-t2v-1.3b,hunyuanvideo,cogvideox-2b,cogvideox1.5-5b"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def told(capsys, *arguments: str) -> list[dict]:
    assert main(["estimate", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_each_model_is_estimated_on_each_card(capsys):
    found = told(capsys, ML_ENERGY, "--gpu", "h100,b200")
    assert [(one["model"], one["gpu"]) for one in found][:2] == [
        ("wan2.1-t2v-1.3b", "h100"),
        ("wan2.1-t2v-1.3b", "b200"),
    ]
    assert len(found) == 8
    for one in found:
        assert one.keys() >= KEYS
        assert one["seconds_low"] < one["seconds"] < one["seconds_high"]
        assert one["cost"] is None
        assert one["rests_on"]


def test_published_figures_come_out_again(capsys):
    (found,) = told(capsys, "wan2.1-t2v-1.3b", "--gpu", "h100", "--price", "3.6EUR")
    assert found["seconds"] == pytest.approx(95.4, abs=0.1)
    assert found["joules"] == pytest.approx(64.7e3, rel=0.01)
    assert found["cost_per_1000"] == pytest.approx(found["seconds"])
    assert found["currency"] == "EUR"


def test_a_card_of_24_gb_is_told_what_to_switch_on(capsys):
    (found,) = told(capsys, "hunyuanvideo", "--gpu", "rtx4090")
    assert found["fits"] is False
    assert "offload=" in found["fits_with"]
    assert found["memory_gib"] > 24
    assert found["memory_rests_on"].startswith("published: ")


def test_fewer_steps_need_no_new_count(capsys):
    (full,) = told(capsys, "wan2.1-t2v-1.3b", "--gpu", "h100")
    (half,) = told(capsys, "wan2.1-t2v-1.3b", "--gpu", "h100", "--recipe", "steps=25")
    assert half["seconds"] / full["seconds"] == pytest.approx(0.5, abs=0.02)


def test_clips_in_one_call_are_the_recipes_batch(capsys):
    alone, by_flag, by_recipe = (
        told(capsys, "wan2.1-t2v-1.3b", "--gpu", "h100", *batch)[0]
        for batch in ((), ("--clips", "8"), ("--recipe", "batch=8"))
    )
    assert by_flag == by_recipe
    assert by_flag["seconds"] == pytest.approx(alone["seconds"])
    assert by_flag["memory_gib"] > alone["memory_gib"]
    assert main(["estimate", "wan2.1-t2v-1.3b", "--gpu", "h100", "--clips", "2", "--recipe", "batch=8"]) == 1
    assert "give one of them" in capsys.readouterr().err
    assert main(["estimate", "wan2.1-vace-1.3b", "--gpu", "h100", "--clips", "2"]) == 1
    assert "cannot follow batch=2" in capsys.readouterr().err


@pytest.mark.slow  # checks the preset's switches against the pipeline's class
def test_a_published_recipe_may_be_named_as_everywhere(capsys):
    (found,) = told(capsys, "wan2.1-t2v-1.3b", "--gpu", "h100", "--recipe", "ml-energy")
    assert found["seconds"] == pytest.approx(95.4, abs=0.1)
    assert found["rests_on"].startswith("published for this model on this device:")


def test_a_processor_is_estimated_once_it_was_measured(capsys, tmp_path):
    asked = ["estimate", "cogvideox-2b", "--gpu", "cpu", "--recipe", "dtype=float32", "--json"]
    assert main(asked) == 1
    assert "vdb hardware --measure" in capsys.readouterr().err
    name = capture("cpu").cpu
    slow = dataclasses.replace(hardware.known()["t4"], name=name, teraflops={"float32": 0.1}, board_power_w=None)
    hardware.keep_measured(slow, tmp_path / "cache")
    keep_as_if_counted(tmp_path / "cache")
    assert main(asked) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["seconds_high"] > found["seconds"] > 3600
    assert found["joules"] is None
    assert "nobody measured one on this device" in found["rests_on"]


def keep_as_if_counted(cache) -> None:
    """The shipped count of another dtype, so that none has to be made."""
    card = Registry.from_catalog().get("cogvideox-2b")
    shipped = counts.shipped_of(card, recipes.resolve(card, Recipe(), "hub"))
    key = counts.key_of(card, recipes.resolve(card, Recipe(dtype="float32"), "hub"))
    counts.keep({key: dataclasses.replace(shipped, key=key)}, counts.place_of(key, cache))


def test_prices_differ_by_card(capsys):
    found = told(capsys, "cogvideox-2b", "--gpu", "h100,b200", "--price", "h100=1,b200=4")
    assert found[1]["cost"] / found[0]["cost"] == pytest.approx(4 * found[1]["seconds"] / found[0]["seconds"])


def test_a_model_without_a_pipeline_says_so(capsys):
    (found,) = told(capsys, "calibration-shapes", "--gpu", "h100")
    assert found["seconds"] is None
    assert "no pipeline" in found["rests_on"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--gpu", "h101"], "did you mean 'h100'"),
        (["--gpu", ","], "no graphics card"),
        (["--gpu", "h100", "--price", "cheap"], "is no price"),
        (["--gpu", "h100", "--price", "b200=3"], "was not asked for"),
        (["--gpu", "h100", "--recipe", "frames=8"], "nearest"),
    ],
)
def test_what_cannot_be_meant_is_refused(capsys, arguments, said):
    assert main(["estimate", "wan2.1-t2v-1.3b", *arguments]) == 1
    assert said in capsys.readouterr().err


def test_where_there_is_no_known_card_it_says_for_which_it_speaks(capsys):
    assert main(["estimate", "wan2.1-t2v-1.3b"]) == 0
    shown = capsys.readouterr()
    assert "95.4 (" in shown.out
    assert "rtx4090" in shown.err or "h100" not in shown.out


@pytest.mark.slow  # a process of its own
def test_torch_is_not_imported():
    code = (
        "import sys; from pytest_vdb.cli import main; "
        f"status = main(['estimate', '{ML_ENERGY}', '--gpu', 'h100']); "
        "print('torch' in sys.modules, 'diffusers' in sys.modules, file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "False False"
