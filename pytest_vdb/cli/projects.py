"""`vdb init`: the benchmark suite, a conftest, the gate and its workflow in a project that only pip-installed us."""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_vdb import files
from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.printing import show
from pytest_vdb.errors import OptionError
from pytest_vdb.files import expanded, is_folder

_PYPROJECT = """
[tool.vdb.gate]  # compared with the baseline after each run: worse by more than this fails
sharpness = "-5%"
frozen_frames = "+0.02"
steady_latency = "+10%&0.05s"
"""
_WORKFLOWS = {
    "github": ("benchmark.yml", ".github/workflows/benchmark.yml"),
    "gitlab": ("gitlab-ci.yml", ".gitlab-ci.yml"),
}
"""The template of each forge, and where it looks for it."""


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    init = commands.add_parser("init", help="put the benchmark suite and a gating workflow into a project")
    init.add_argument("folder", nargs="?", default=".", type=expanded, help="the project (default: here)")
    what = "whose workflow gates the project's changes (default: %(default)s)"
    init.add_argument("--ci", choices=list(_WORKFLOWS), default="github", help=what)
    init.set_defaults(command=Command(InitArguments, _init))


@dataclass(frozen=True, slots=True, kw_only=True)
class InitArguments:
    """What `vdb init` was asked."""

    folder: Path
    ci: str


def _init(arguments: InitArguments) -> int:
    project = files.make_folder(arguments.folder)
    pyproject = project / "pyproject.toml"
    extended = _extended(pyproject)  # refused before anything is written
    for source in sorted(shipped("benchmarks").glob("test_*.py")):
        place_file(source.read_text(encoding="utf-8"), project / "benchmarks" / source.name)
    for name, place in (("conftest.py", "benchmarks/conftest.py"), _WORKFLOWS[arguments.ci]):
        text = shipped("templates").joinpath(name).read_text(encoding="utf-8")
        taken = _tagged_already(text, project / "conftest.py") if name == "conftest.py" else None
        if taken is None:
            place_file(text, project / place)
        else:
            show(f"left out {project / place} ({taken})")
    if extended is None:
        show(f"kept     {pyproject} (has a [tool.vdb] section)")
    else:
        files.write(pyproject.resolve(), extended)
        show(f"extended {pyproject}")
    show("next: pytest benchmarks/")
    return 0


def _extended(pyproject: Path) -> str | None:
    """The file with our section at its end, in its own kind of line breaks; None if it has one.

    Raises:
        OptionError: it cannot be read, is not TOML, or keeps its tables so that none can be added.
    """
    if not files.is_there(pyproject):
        return _PYPROJECT.lstrip()
    existing = files.read_bytes(pyproject, error=OptionError).decode("utf-8-sig", "replace")
    tool = files.read_toml(pyproject, error=OptionError, mend="mend it first").get("tool", {})
    if isinstance(tool, dict) and "vdb" in tool:
        return None
    ending = "" if existing.endswith(("\n", "\r")) or not existing else "\n"
    text = existing + (ending + _PYPROJECT).replace("\n", "\r\n" if "\r\n" in existing else "\n")
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:  # `tool = {...}` in one line, say
        mend = f"add it by hand: {' '.join(_PYPROJECT.split('#')[0].split())}"
        raise OptionError(f"no [tool.vdb.gate] can be added: {problem}", where=pyproject, mend=mend) from None
    return text


def place_file(text: str, target: Path) -> None:
    """Write a file that is not there yet; never over one that is, be it a link to nowhere."""
    if files.is_there(target) or target.is_symlink():
        show(f"kept     {target} (exists)")
        return
    files.write(target, text)
    show(f"wrote    {target}")


def _tagged_already(text: str, conftest: Path) -> str | None:
    """Which name of our example another conftest gives to a model, metric or network of its own, and where, or None."""
    if not files.is_file(conftest):
        return None
    theirs = _tagged_names(files.read_text(conftest, error=OptionError))
    for name in _tagged_names(text):
        if name in theirs:
            return f"{conftest}:{theirs[name]} tags {name!r} already"
    return None


def _tagged_names(text: str) -> dict[str, int]:
    """The names that our decorators give in a source, with their lines; none where it does not parse."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
    return {
        str(call.args[0].value): call.lineno
        for call in calls
        if isinstance(call.args[0], ast.Constant) and _name_of_function(call.func) in {"model", "metric", "backbone"}
    }


def _name_of_function(function: ast.expr) -> str | None:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", None)


def shipped(name: str) -> Path:
    """A folder that the wheel carries inside the package, or, in a checkout, the repository's own.

    Raises:
        OptionError: neither is there.
    """
    package = Path(__file__).parent.parent
    for path in (package / name, package.parent / name):
        if is_folder(path):
            return path
    raise OptionError(
        f"this installation of pytest-vdb lacks its {name}/",
        where=package,
        mend="install it again: pip install --force-reinstall pytest-vdb",
    )
