"""What no file of ours does, because it ended in a traceback of a user's once: read in the code itself."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

import pytest

import pytest_vdb
from pytest_vdb.cli import _parser
from pytest_vdb.cli.arguments import Command

PACKAGE = Path(pytest_vdb.__file__).parent
SOURCES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
BELOW_THE_PLUGIN = [source for source in SOURCES if not source.startswith("plugin/")]


def calls(source: Path, name: str) -> Iterator[ast.Call]:
    """The calls of a function by its plain name."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


@pytest.mark.parametrize("source", BELOW_THE_PLUGIN)
def test_no_search_assumes_that_it_finds_something(source):
    """`next(x for x in ...)` of nothing is a bare StopIteration, and inside a generator a RuntimeError."""
    bare = [
        call.lineno
        for call in calls(SOURCES[source], "next")
        if len(call.args) == 1 and isinstance(call.args[0], ast.GeneratorExp)
    ]
    assert not bare, f"{source}: give next() a default in lines {bare}, and say what is missing"


def written(source: Path) -> Iterator[int]:
    """The lines in which a file is written or opened for writing, but for the part that `files.write_by` gives."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        modes = (
            [one.value for one in node.args[:1] if isinstance(one, ast.Constant)] if node.func.attr == "open" else []
        )
        opens = any(isinstance(mode, str) and set(mode) & set("wax+") for mode in modes)
        is_part = isinstance(node.func.value, ast.Name) and node.func.value.id == "part"
        if (node.func.attr in {"write_text", "write_bytes"} or opens) and not is_part:
            yield node.lineno


WRITERS = {
    "files.py": "the one way",
    "profiling/process_memory.py": "a switch of the kernel's, no file",
    "results/journal.py": "the one file that is appended to, for as long as the run lasts",
}


@pytest.mark.parametrize("source", [source for source in BELOW_THE_PLUGIN if source not in WRITERS])
def test_files_are_written_in_one_way(source):
    """Whole or not at all, with the mend where the disk refuses: see `files.write` and `files.write_by`."""
    lines = list(written(SOURCES[source]))
    assert not lines, f"{source} writes by itself in lines {lines}"


@pytest.mark.parametrize("source", [source for source in SOURCES if source.startswith("cli/")])
def test_commands_print_through_one_door(source):
    """Another `print` obeys what it shows, and ends in a traceback where stdout is ASCII or a disk that is full."""
    if source != "cli/printing.py":
        assert not list(calls(SOURCES[source], "print")), f"{source}: use cli.printing's show or warn"
        assert "sys.stdout" not in SOURCES[source].read_text(encoding="utf-8") or source == "cli/__init__.py"


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of commands that do something, by the way to them."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in inner:
        for one in action.choices.values():
            yield from parsers(one)
    if not inner:
        yield parser


def fields_of(kind: type) -> set[str]:
    """The names of a command's arguments, of the groups among them likewise."""
    types = get_type_hints(kind)
    own = dataclasses.fields(kind)
    groups = [fields_of(types[one.name]) for one in own if dataclasses.is_dataclass(types[one.name])]
    return {one.name for one in own if not dataclasses.is_dataclass(types[one.name])}.union(*groups)


@pytest.mark.parametrize("parser", list(parsers(_parser())), ids=lambda parser: parser.prog)
def test_every_argument_of_a_command_ends_in_a_frozen_field(parser):
    """`argparse.Namespace` knows no types and forgives every misspelt name: no command sees it."""
    command = parser.get_default("command")
    assert isinstance(command, Command), "say what it runs: set_defaults(command=Command(ITS_ARGUMENTS, FUNCTION))"
    assert command.arguments.__dataclass_params__.frozen
    given = {action.dest for action in parser._actions} - {"help"}
    assert given <= fields_of(command.arguments), f"{command.arguments.__name__} lacks some of {given}"


def test_no_namespace_travels():
    named = [source for source, path in SOURCES.items() if "argparse.Namespace" in path.read_text(encoding="utf-8")]
    assert not named


def test_every_file_among_the_commands_is_one_or_serves_one():
    """A command is found by its `add_to`: what has none, and nobody imports, was forgotten or is called wrongly."""
    texts = {source: path.read_text(encoding="utf-8") for source, path in SOURCES.items()}
    for source in SOURCES:
        name = Path(source).stem
        if source.startswith("cli/") and name != "__init__" and "\ndef add_to(" not in texts[source]:
            patterns = (f"pytest_vdb.cli.{name} import", rf"pytest_vdb\.cli import [^\n]*\b{name}\b")
            used = any(re.search(pattern, text) for pattern in patterns for text in texts.values())
            assert used, f"{source} adds no command (give it `add_to`), and no other file uses it"


@pytest.mark.parametrize("source", [source for source in SOURCES if source != "files.py"])
def test_whether_something_is_there_is_asked_through_one_door(source):
    """`Path.exists` and its kin raise for a name that is too long and for a folder that may not be searched."""
    asked = [
        node.lineno
        for node in ast.walk(ast.parse(SOURCES[source].read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args
        if node.func.attr in {"exists", "is_file", "is_dir"}
    ]
    assert not asked, f"{source}: use files.is_there, is_file or is_folder in lines {asked}"


def private_names() -> dict[str, list[str]]:
    """The private functions and classes of modules, each with the files that define it."""
    found: dict[str, list[str]] = {}
    for source, path in SOURCES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name.startswith("_"):
                found.setdefault(node.name, []).append(source)
    return found


def test_one_private_name_is_one_function():
    """Whoever greps for `_cell` wants one: give each the noun that it is about."""
    several = {name: sources for name, sources in private_names().items() if len(sources) > 1}
    assert not several


NAMES_AND_LISTS = (ast.Constant, ast.Tuple, ast.List, ast.Set, ast.Dict)


def constants() -> Iterator[tuple[str, str, str]]:
    """The constants of modules by name and value, each with its file; two numbers may be equal by chance."""
    for source, path in SOURCES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            value = getattr(node, "value", None)
            for target in targets:
                if isinstance(target, ast.Name) and target.id.isupper() and isinstance(value, NAMES_AND_LISTS):
                    if isinstance(value, ast.Constant) and not isinstance(value.value, str):
                        continue
                    yield target.id, ast.unparse(value), source


def test_a_constant_is_said_once():
    """The second copy is the one that is forgotten: import it from the lower of the two rooms, or from below both."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, value, source in constants():
        found.setdefault((name, value), []).append(source)
    assert not {name: sources for name, sources in found.items() if len(sources) > 1}
