"""Targets are found, not listed, and say what they need."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

import pytest_vdb
from pytest_vdb.errors import LibraryMissing, UnknownName
from pytest_vdb.exports.contract import counted
from pytest_vdb.exports.targets import chosen, targets

ROOM = Path(pytest_vdb.__file__).parent / "exports"
PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
IMPORTED_AS = {
    "mlflow-skinny": "mlflow",
    "opentelemetry-sdk": "opentelemetry.sdk",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http",
}
"""Packages whose module is called otherwise."""


def test_every_file_of_the_room_is_a_target_or_serves_one():
    texts = {path.stem: path.read_text(encoding="utf-8") for path in ROOM.glob("*.py") if path.stem != "__init__"}
    for name, text in texts.items():
        named = re.compile(rf"exports\.{name} import|exports import [^\n]*\b{name}\b")
        used = any(named.search(other) for other in texts.values())
        assert "\nTARGET = " in text or used or name == "targets", f"exports/{name}.py declares no TARGET"


def test_a_place_stands_behind_the_colon_and_may_hold_more_of_them():
    target, place = chosen("mlflow:sqlite:///x.db", where="--to")
    assert (target.name, place) == ("mlflow", "sqlite:///x.db")
    assert chosen("parquet", where="--to")[1] == "exports/{run}.parquet"


def test_a_name_that_is_none_gets_the_near_ones():
    with pytest.raises(UnknownName, match=r"unknown target 'parket'\n  did you mean 'parquet'\? One of: bencher,"):
        chosen("parket:x", where="--to")


def test_a_library_that_is_missing_is_named_with_the_extra_that_brings_it():
    lacking = dataclasses.replace(targets()["mlflow"], libraries=("json", "no_such_library"))
    assert dataclasses.replace(lacking, libraries=("no_such_library.of_it",)).missing == ("no_such_library.of_it",)
    with pytest.raises(LibraryMissing, match=r"mlflow needs no_such_library.*\n  pip install 'pytest-vdb\[mlflow\]'"):
        lacking.require()


@pytest.mark.parametrize("target", targets().values(), ids=lambda target: target.name)
def test_what_a_target_needs_is_what_its_extra_brings(target):
    extras = PROJECT["optional-dependencies"]
    brought = {re.match(r"[\w.-]+", one)[0] for one in extras.get(target.extra, ())}
    assert {IMPORTED_AS.get(name, name) for name in brought} == set(target.libraries)


def test_what_needs_no_library_needs_no_extra():
    assert {name for name, target in targets().items() if not target.libraries} == {
        name for name, target in targets().items() if target.extra is None
    }


def test_what_is_left_out_is_counted_by_metric_and_reason():
    seen = counted([("a", "x", 1), ("b", "x", 2), ("a", "x", 4), ("a", "y", 0)])
    assert [(one.metric, one.reason, one.n) for one in seen] == [("a", "x", 5), ("b", "x", 2)]
