"""Every command that README and docs show is typed in some journey, with the flags that they show."""

from __future__ import annotations

import ast
import configparser
import re
from functools import cache
from pathlib import Path

import pytest

from pytest_vdb.cli import _parser

TOP = Path(__file__).parent.parent.parent
PAGES = [TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted((TOP / "docs").rglob("*.md"))]
SHORT = {"-o": "--output", "-h": "--help"}


def shown(page: Path) -> list[str]:
    """The commands of a page: behind a `$` in a block, or in backticks."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    inline = re.findall(r"`((?:vdb|tox) [^`]+|pytest [^`]*--vdb[^`]*)`", text)
    return [part.partition(" #")[0].strip() for line in (*lines, *inline) for part in line.split("&&")]


@cache
def commands() -> list[str]:
    """What `vdb --help` lists."""
    return re.findall(r"^    ([a-z]+)(?= |$)", _parser().format_help(), re.MULTILINE)


def understood(command: str) -> tuple[str, frozenset[str]]:
    """The program with its subcommand, and the flags."""
    program, *rest = re.sub(r"'[^']*'", "x", command).split()
    flags = (word.partition("=")[0] for word in rest if re.match(r"-{1,2}[a-z]", word))
    subcommand = rest[:1] if program == "vdb" and rest and rest[0] in commands() else []
    return " ".join([program, *subcommand]), frozenset(SHORT.get(flag, flag) for flag in flags)


@cache
def typed() -> list[tuple[str, frozenset[str]]]:
    """Every command line that stands in a journey; a name in it stands for the text that it was given."""
    found = []
    for path in Path(__file__).parent.glob("test_days_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = {
            target.id: _text(node.value, {})
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        lines = (_text(node, named) for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr))
        parts = (part.strip() for line in lines for part in re.split(r"&&|\||unshare -rn", line))
        found += [understood(part) for part in parts if part.startswith(("vdb ", "pytest "))]
    return found


def _text(node: ast.expr, named: dict[str, str]) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, named) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return named.get(node.value.id, "x") if isinstance(node.value, ast.Name) else "x"
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_shows_is_typed_in_a_journey(page):
    environments, known = configparser.ConfigParser(), typed()
    environments.read(TOP / "tox.ini")
    for command in shown(page):
        program, flags = understood(command)
        if program == "tox":  # CI types it
            named = command.partition("-e ")[2].split(",")[0]
            assert not named or f"testenv:{named}" in environments or named.startswith("py"), command
        elif program.startswith(("vdb", "pytest")):
            alike = [used for typed, used in known if typed == program or program == "vdb"]  # `vdb COMMAND --help`
            assert any(flags <= used for used in alike), f"no journey types: {command}"


@pytest.mark.parametrize("command", commands())
def test_every_subcommand_is_typed_in_a_journey(command):
    assert f"vdb {command}" in {program for program, _ in typed()}
