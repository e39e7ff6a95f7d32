"""`vdb init`: the benchmark suite, a conftest, the gate and its workflow in a project that only pip-installed us."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pytest_vdb.cli.printing import show
from pytest_vdb.errors import OptionError
from pytest_vdb.files import expanded

_PYPROJECT = """
[tool.vdb.gate]  # compared with the baseline after each run: worse by more than this fails
clip_similarity = "-2%"
steady_latency = "+10%"
"""


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    init = commands.add_parser("init", help="put the benchmark suite and a gating workflow into a project")
    init.add_argument("folder", nargs="?", default=".", type=expanded, help="the project (default: here)")
    init.set_defaults(command=_init)


def _init(options: argparse.Namespace) -> int:
    project: Path = options.folder
    project.mkdir(parents=True, exist_ok=True)
    for source in sorted(shipped("benchmarks").glob("test_*.py")):
        _place(source.read_text(encoding="utf-8"), project / "benchmarks" / source.name)
    for name, place in (("conftest.py", "benchmarks"), ("benchmark.yml", ".github/workflows")):
        _place(shipped("templates").joinpath(name).read_text(encoding="utf-8"), project / place / name)
    pyproject = project / "pyproject.toml"
    existing = pyproject.read_text(encoding="utf-8") if pyproject.exists() else ""
    if "[tool.vdb" in existing:
        show(f"kept     {pyproject} (has a [tool.vdb] section)")
    else:
        pyproject.write_text(existing + _PYPROJECT, encoding="utf-8")
        show(f"extended {pyproject}")
    show("next: pytest benchmarks/")
    return 0


def _place(text: str, target: Path) -> None:
    """Write a file that is not there yet; never over one that is."""
    if target.exists():
        show(f"kept     {target} (exists)")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    show(f"wrote    {target}")


def shipped(name: str) -> Path:
    """A folder that the wheel carries inside the package, or, in a checkout, the repository's own.

    Raises:
        OptionError: neither is there.
    """
    package = Path(__file__).parent.parent
    for path in (package / name, package.parent / name):
        if path.is_dir():
            return path
    raise OptionError(
        f"this installation of pytest-vdb lacks its {name}/",
        where=package,
        mend="install it again: pip install --force-reinstall pytest-vdb",
    )
