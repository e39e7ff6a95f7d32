"""What no file of ours does, because it ended in a traceback of a user's once: read in the code itself."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import get_type_hints

import pytest

import pytest_vdb
from pytest_vdb.cli import _parser
from pytest_vdb.cli.arguments import Command

PACKAGE = Path(pytest_vdb.__file__).parent
SOURCES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
BELOW_THE_PLUGIN = [source for source in SOURCES if not source.startswith("plugin/")]


@lru_cache
def text_of(source: str) -> str:
    return SOURCES[source].read_text(encoding="utf-8")


@lru_cache
def body_of(source: str) -> list[ast.stmt]:
    return ast.parse(text_of(source)).body


@lru_cache
def calls_of(source: str) -> list[ast.Call]:
    """Every call in a file: each habit below asks for them."""
    return [node for one in body_of(source) for node in ast.walk(one) if isinstance(node, ast.Call)]


def calls(source: str, name: str) -> list[ast.Call]:
    """The calls of a function by its plain name."""
    return [call for call in calls_of(source) if isinstance(call.func, ast.Name) and call.func.id == name]


def lines_by_source(find: Callable[[str], Iterable[int]], sources: Iterable[str]) -> dict[str, list[int]]:
    """Where something stands that should not, of the files that have it."""
    found = {source: list(find(source)) for source in sources}
    return {source: lines for source, lines in found.items() if lines}


def test_no_search_assumes_that_it_finds_something():
    """`next(x for x in ...)` of nothing is a bare StopIteration, and inside a generator a RuntimeError."""

    def bare(source: str) -> list[int]:
        alone = [call for call in calls(source, "next") if len(call.args) == 1]
        return [call.lineno for call in alone if isinstance(call.args[0], ast.GeneratorExp)]

    found = lines_by_source(bare, BELOW_THE_PLUGIN)
    assert not found, "give next() a default, and say what is missing"


def written(source: str) -> Iterator[int]:
    """The lines in which a file is written or opened for writing, but for the part that `files.write_by` gives."""
    for node in calls_of(source):
        if not isinstance(node.func, ast.Attribute):
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
    "models/isolation/limits.py": "switches of the kernel's, no files",
    "profiling/process_memory.py": "a switch of the kernel's, no file",
    "results/journal.py": "the one file that is appended to, for as long as the run lasts",
}


def test_files_are_written_in_one_way():
    """Whole or not at all, with the mend where the disk refuses: see `files.write` and `files.write_by`."""
    found = lines_by_source(written, [source for source in BELOW_THE_PLUGIN if source not in WRITERS])
    assert not found, "written by itself"


def test_commands_print_through_one_door():
    """Another `print` obeys what it shows, and ends in a traceback where stdout is ASCII or a disk that is full."""
    commands = [source for source in SOURCES if source.startswith("cli/") and source != "cli/printing.py"]
    found = lines_by_source(lambda source: [call.lineno for call in calls(source, "print")], commands)
    assert not found, "use cli.printing's show or warn"
    assert [source for source in commands if "sys.stdout" in text_of(source)] == ["cli/__init__.py"]


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
    named = [source for source in SOURCES if "argparse.Namespace" in text_of(source)]
    assert not named


def test_every_file_among_the_commands_is_one_or_serves_one():
    """A command is found by its `add_to`: what has none, and nobody imports, was forgotten or is called wrongly."""
    texts = {source: text_of(source) for source in SOURCES}
    for source in SOURCES:
        name = Path(source).stem
        if source.startswith("cli/") and name != "__init__" and "\ndef add_to(" not in texts[source]:
            patterns = (f"pytest_vdb.cli.{name} import", rf"pytest_vdb\.cli import [^\n]*\b{name}\b")
            used = any(re.search(pattern, text) for pattern in patterns for text in texts.values())
            assert used, f"{source} adds no command (give it `add_to`), and no other file uses it"


def test_whether_something_is_there_is_asked_through_one_door():
    """`Path.exists` and its kin raise for a name that is too long and for a folder that may not be searched."""

    def asked(source: str) -> list[int]:
        methods = [call for call in calls_of(source) if isinstance(call.func, ast.Attribute) and not call.args]
        return [call.lineno for call in methods if call.func.attr in {"exists", "is_file", "is_dir"}]

    found = lines_by_source(asked, [source for source in SOURCES if source != "files.py"])
    assert not found, "use files.is_there, is_file or is_folder"


def private_names() -> dict[str, list[str]]:
    """The private functions and classes of modules, each with the files that define it."""
    found: dict[str, list[str]] = {}
    for source in SOURCES:
        for node in body_of(source):
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
    for source in SOURCES:
        for node in body_of(source):
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
