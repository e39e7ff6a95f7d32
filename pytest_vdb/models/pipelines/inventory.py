"""Which pipelines of the installed diffusers take or make video: found in every registry that it has, not listed here.

Looked at are the classes in its source files, the names that it exports (lazily), its table of modular pipelines and
those of its automatic pipelines, and every preset of blocks. Whether one deals with video is read off what it is called
with and what it returns. A release of diffusers can thereby add no pipeline that nobody sees.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from pytest_vdb.models import classes
from pytest_vdb.models.pipelines.outputs import PLACES

ROOTS = ("DiffusionPipeline", "ModularPipeline")
"""What every pipeline of diffusers descends from."""

TAKEN = re.compile(r"(num_)?(video_)?frames|video(_length|s)?|.*_video|frame_rate|num_frames_per_\w+")
"""Arguments that only a pipeline of video is called with."""

RETURNED = frozenset(PLACES) - {"images"}
"""Fields of a result that hold video."""

_POSTPROCESSED = "postprocess_video"
_NAME = re.compile(r"\b[A-Z]\w*Pipeline\b")


_CLASS = re.compile(r"^class (\w+)(?:\(([^)]*)\))?:", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _ClassInSource:
    """A class as its source has it; parsed only where a word of its file gives reason to."""

    name: str
    bases: tuple[str, ...]
    file: Path

    @property
    def may_deal_with_video(self) -> bool:
        """Whether its file knows the words."""
        return re.search("frame|video", _text(self.file), re.IGNORECASE) is not None

    @property
    def statements(self) -> list[ast.stmt]:
        """What stands in it."""
        found = [node for node in _parsed(self.file).body if isinstance(node, ast.ClassDef) and node.name == self.name]
        return [statement for node in found for statement in node.body]

    @property
    def call(self) -> ast.FunctionDef | None:
        """Its own `__call__`."""
        functions = (part for part in self.statements if isinstance(part, ast.FunctionDef))
        return next((function for function in functions if function.name == "__call__"), None)


def video_pipelines() -> Mapping[str, str]:
    """Every pipeline of the installed diffusers that deals with video, by name, with what shows it."""
    found = {}
    for name in sorted(_names()):
        evidence = _of_blocks(name) if name.endswith("ModularPipeline") else _of_source(name)
        if evidence is not None:
            found[name] = evidence
    return found


def presets_without_pipeline() -> Mapping[str, str]:
    """Exported presets of blocks that make video and are no pipeline's own, with what shows it."""
    import diffusers

    own = {getattr(diffusers, name).default_blocks_name for name in _names() if name.endswith("ModularPipeline")}
    found = {}
    for name in sorted(set(dir(diffusers)) - own):
        kind: Any = getattr(diffusers, name) if name.endswith("Blocks") else None
        if getattr(kind, "block_classes", None) and (made := _made_by(kind())) is not None:
            found[name] = made
    return found


def _names() -> frozenset[str]:
    """The pipelines that any of the registries names, but for the common ancestors."""
    import diffusers

    exported = {name for name in dir(diffusers) if _NAME.fullmatch(name)}
    return frozenset((exported | _in_files() | _modular() | _automatic()) - set(ROOTS))


def _in_files() -> set[str]:
    """Classes that descend from a pipeline, and those among the pipelines that are called like one."""
    folder = _diffusers_folder() / "pipelines"
    called = {
        name
        for name, each in _classes().items()
        if each.file.is_relative_to(folder) and "Processor" not in name and each.may_deal_with_video and each.call
    }
    return called | {name for name in _classes() if _descends(name)}


def _modular() -> set[str]:
    """What the table of modular pipelines leads to, whatever the folder says; and what is exported beside it."""
    from diffusers.modular_pipelines import modular_pipeline

    reached = {name for table in (modular_pipeline.MODULAR_PIPELINE_MAPPING,) for name in _leads_to(table)}
    return reached | set(_NAME.findall(Path(modular_pipeline.__file__).read_text(encoding="utf-8"))) & set(_classes())


def _leads_to(table: Mapping[str, Any]) -> Iterator[str]:
    for pipeline_of in table.values():
        yield pipeline_of(None)


def _automatic() -> set[str]:
    """What the automatic pipelines may become: read from the file, whose import brings in every pipeline there is."""
    text = (_diffusers_folder() / "pipelines" / "auto_pipeline.py").read_text(encoding="utf-8")
    return {name for name in _NAME.findall(text) if name in _classes() and not name.startswith("Auto")}


def _of_blocks(name: str) -> str | None:
    import diffusers

    kind = getattr(diffusers, name, None)
    if kind is None or getattr(kind, "default_blocks_name", None) is None:
        return None
    return _made_by(classes.blocks(kind))


def _made_by(blocks: Any) -> str | None:
    made = sorted({output.name for output in blocks.outputs} & RETURNED)
    return f"makes {', '.join(made)}" if made else None


def _of_source(name: str) -> str | None:
    """What shows that a class deals with video: an argument, a field of its result, or how it finishes frames."""
    for each in _lineage(name):
        if not each.may_deal_with_video or each.call is None:
            continue
        arguments = [argument.arg for argument in (*each.call.args.args, *each.call.args.kwonlyargs)]
        if taken := sorted(argument for argument in arguments if TAKEN.fullmatch(argument)):
            return f"takes {', '.join(taken)}"
        nodes = (node for statement in each.statements for node in ast.walk(statement))
        called = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
        if returned := sorted(_fields(called) & RETURNED):
            return f"returns {', '.join(returned)}"
        if any(function.endswith(_POSTPROCESSED) for function in called):
            return "finishes frames of video"
        return None
    return None


def _fields(called: set[str]) -> set[str]:
    """The fields of the results that are made by calling their classes."""
    results = [_classes()[name] for name in called if name.endswith("Output") and name in _classes()]
    parts = (part for result in results for part in result.statements)
    return {ast.unparse(part.target) for part in parts if isinstance(part, ast.AnnAssign)}


def _lineage(name: str, seen: tuple[str, ...] = ()) -> Iterator[_ClassInSource]:
    """The class and its ancestors, as far as diffusers defines them, the nearest first."""
    each = _classes().get(name)
    if each is None or name in seen or name in ROOTS:
        return
    yield each
    for base in each.bases:
        yield from _lineage(base, (*seen, name))


def _descends(name: str) -> bool:
    return any(set(ROOTS) & set(each.bases) for each in _lineage(name))


@lru_cache(maxsize=1)
def _classes() -> Mapping[str, _ClassInSource]:
    """Every class that diffusers defines, by name; its stand-ins for missing packages are none."""
    found = {}
    for path in sorted(_diffusers_folder().rglob("*.py")):
        for name, bases in _CLASS.findall(_text(path)) if not path.name.startswith("dummy_") else ():
            found[name] = _ClassInSource(
                name, tuple(base.strip().rpartition(".")[2] for base in bases.split(",")), path
            )
    return found


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(_text(path))


def _diffusers_folder() -> Path:
    import diffusers

    return Path(diffusers.__file__).parent
