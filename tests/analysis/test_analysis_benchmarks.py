"""Records stand in the benchmark that they belong to, and a benchmark is called by no more than tells it apart."""

from __future__ import annotations

import pytest

from pytest_vdb.analysis.benchmarks import placed, shown_names
from pytest_vdb.records import Record


def record(benchmark: str, nodeid: str = "n") -> Record:
    return Record(run="r", nodeid=nodeid, benchmark=benchmark, model="wan", status="passed")


@pytest.mark.parametrize(
    ("benchmarks", "names"),
    [
        (["b/test_g.py::test_generation"], ["test_generation"]),
        (["b/test_g.py::test_a", "b/test_g.py::test_b"], ["test_a", "test_b"]),
        (["t.py::A::test_g", "t.py::B::test_g", "t.py::test_h"], ["A::test_g", "B::test_g", "test_h"]),
        (["b/x.py::test_g", "b/y.py::test_g"], ["x.py::test_g", "y.py::test_g"]),
        (["a/t.py::test_g", "b/t.py::test_g"], ["a/t.py::test_g", "b/t.py::test_g"]),
        (["t.py::test_g", "a/t.py::test_g"], ["t.py::test_g", "a/t.py::test_g"]),
        (["test_g", "t.py::test_g"], ["test_g", "t.py::test_g"]),
        (["score", "t.py::test_g"], ["score", "test_g"]),
    ],
)
def test_the_function_alone_where_that_is_enough(benchmarks, names):
    assert shown_names(benchmarks) == dict(zip(benchmarks, names, strict=True))
    assert len(set(names)) == len(names)


def benchmarks_of(*records: Record) -> list[str]:
    return [one.benchmark for one in placed(records)]


def test_a_bare_function_stands_in_the_one_benchmark_of_that_function():
    new = record("benchmarks/test_generation.py::test_generation")
    assert benchmarks_of(new, record("test_generation")) == [new.benchmark] * 2
    old = record("test_generation", "test_generation.py::test_generation[wan-p1]")
    assert benchmarks_of(old, new) == [new.benchmark] * 2


def test_a_bare_function_that_may_be_two_benchmarks_stands_alone():
    two = [record("a.py::test_g"), record("b.py::test_g")]
    assert benchmarks_of(*two, record("test_g")) == ["a.py::test_g", "b.py::test_g", "test_g"]


def test_the_node_id_of_an_earlier_version_tells_which_of_two_it_was():
    two = [record("a/t.py::test_g"), record("b/t.py::test_g")]
    old = record("test_g", "b/t.py::test_g[wan-p1]")
    assert benchmarks_of(*two, old)[2] == "b/t.py::test_g"


def test_functions_of_one_name_in_two_files_of_earlier_versions_are_two_benchmarks():
    one, other = record("test_g", "a.py::A::test_g[wan]"), record("test_g", "b.py::test_g[wan]")
    assert benchmarks_of(one, other) == ["a.py::A::test_g", "b.py::test_g"]
    assert benchmarks_of(one) == ["test_g"]


def test_a_test_of_another_file_is_not_the_one_benchmark_of_its_name():
    old = record("test_g", "elsewhere.py::test_g[wan]")
    assert benchmarks_of(record("a.py::test_g"), old) == ["a.py::test_g", "test_g"]


def named(benchmark: str, run: str) -> Record:
    return Record(run=run, nodeid="n", benchmark=benchmark, model="wan", status="passed")


def test_one_file_of_two_runs_that_were_typed_in_different_folders_is_one_benchmark():
    near, far = named("test_g.py::test_g", "inside"), named("benchmarks/test_g.py::test_g", "outside")
    assert benchmarks_of(near, far) == [far.benchmark] * 2


def test_two_files_of_one_run_stay_two_benchmarks():
    both = [named("test_g.py::test_g", "one"), named("a/test_g.py::test_g", "one")]
    assert benchmarks_of(*both) == ["test_g.py::test_g", "a/test_g.py::test_g"]
    three = [
        named("test_g.py::test_g", "one"),
        named("a/test_g.py::test_g", "two"),
        named("b/test_g.py::test_g", "two"),
    ]
    assert benchmarks_of(*three) == ["test_g.py::test_g", "a/test_g.py::test_g", "b/test_g.py::test_g"]
