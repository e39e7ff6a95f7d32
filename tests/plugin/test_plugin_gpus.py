"""Which GPUs a worker sees, and how many workers there are GPUs for, where clips are shared over several of them."""

from __future__ import annotations

import pytest

from pytest_vdb.plugin.gpus import gpus_of_a_worker, own_of_worker, places, why_too_few
from pytest_vdb.plugin.session import options_of

EIGHT = tuple(f"GPU-{number}" for number in range(8))


@pytest.mark.parametrize(("gpus", "each", "workers"), [(8, 1, 8), (8, 4, 2), (7, 4, 1), (2, 4, 1)])
def test_there_are_as_many_workers_as_there_are_gpus_for(gpus, each, workers):
    assert places(gpus, each) == workers


def test_workers_have_gpus_of_their_own_as_long_as_there_are_any():
    assert [own_of_worker(at, EIGHT, 1) for at in (0, 7, 8)] == [("GPU-0",), ("GPU-7",), ("GPU-0",)]
    assert [own_of_worker(at, EIGHT, 4) for at in range(3)] == [EIGHT[:4], EIGHT[4:], EIGHT[:4]]
    assert [own_of_worker(at, EIGHT[:7], 3) for at in range(2)] == [EIGHT[:3], EIGHT[3:6]]


def test_a_recipe_and_the_points_of_a_sweep_say_how_many_a_clip_needs(pytester):
    def needed(*arguments: str) -> int:
        return options_of(pytester.parseconfig(*arguments)).devices_of_a_clip

    assert needed() == gpus_of_a_worker(pytester.parseconfig()) == 1
    assert needed("--vdb-recipe", "parallel=ulysses:2,ring:2") == 4
    assert needed("--vdb-sweep", "parallel=native,ulysses:2,ulysses:4+ring:2") == 8


def test_an_ini_file_says_it_as_well(pytester):
    pytester.makeini("[pytest]\nvdb_recipe = parallel=ring:3\n")
    assert gpus_of_a_worker(pytester.parseconfig()) == 3


def test_too_few_gpus_are_one_sentence_and_none_or_others_are_no_matter(pytester):
    def problem(gpus: int, *arguments: str) -> str | None:
        asked = ("--vdb-recipe", "parallel=ulysses:4", *arguments)
        return why_too_few(options_of(pytester.parseconfig(*asked)), gpus)

    assert "over 4 GPUs, and 2 can be used here" in str(problem(2))
    assert problem(4) is None
    assert problem(0) is None, "processors share it"
    assert problem(2, "--vdb-device=cpu") is None
    assert problem(2, "--vdb-on=slurm") is None
