"""The house: arrows between modules make no circle, in any room, wherever in a file the import stands."""

from __future__ import annotations

import ast
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

import pytest_vdb

PACKAGE = Path(pytest_vdb.__file__).parent
ROOT = PACKAGE.name

Arrows = Mapping[str, set[str]]


def name_of(path: Path) -> str:
    """`pytest_vdb/models/card.py` -> `pytest_vdb.models.card`; a package is called like its folder."""
    return ".".join((ROOT, *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
ROOMS = [name for name, path in MODULES.items() if path.name == "__init__.py"]


def statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """Every statement, also those in functions; not what only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.stmt):
            yield node
        yield from statements(node)


def imported(source: str, known: Mapping[str, object], *, is_benchmark: bool = False) -> set[str]:
    """The known modules that a file imports; of `from package import name` the module of that name, if it is one."""
    found = set()
    for node in statements(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:  # what is run as `benchmarks` and lies in the wheel as `pytest_vdb.benchmarks` has two names
                assert is_benchmark, "write imports in full"
                continue
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else str(node.module) for name in names}
    return found & set(known)


ARROWS: Arrows = {
    name: imported(path.read_text(encoding="utf-8"), MODULES, is_benchmark=name.startswith("pytest_vdb.benchmarks."))
    for name, path in MODULES.items()
}


def part_of(room: str, module: str) -> str:
    """The part of a room that a module is or lies in; the room's own `__init__` is a part of it."""
    inside = module.removeprefix(f"{room}.") if module != room else "__init__"
    return f"{room}.{inside.partition('.')[0]}"


def drawn(room: str, arrows: Arrows) -> dict[str, set[str]]:
    """The arrows between the parts of a room: its modules, and the rooms in it as a whole."""
    inside = {module for module in arrows if module == room or module.startswith(f"{room}.")}
    drawing: dict[str, set[str]] = defaultdict(set)
    for module in inside:
        here = part_of(room, module)
        drawing[here] |= {part_of(room, other) for other in arrows[module] & inside} - {here}
    return drawing


def circles(drawing: Arrows) -> list[tuple[str, ...]]:
    """The shortest circle through each part that lies on one, every circle once."""
    found = {}
    for start in sorted(drawing):
        circle = shortest_way(drawing, start, start)
        if circle is not None:
            found.setdefault(frozenset(circle), circle)
    return list(found.values())


def shortest_way(drawing: Arrows, start: str, end: str) -> tuple[str, ...] | None:
    """From a part along the arrows to another, both named; None where there is no way."""
    ways = deque([(start,)])
    seen = set()
    while ways:
        way = ways.popleft()
        for following in sorted(drawing.get(way[-1], ())):
            if following == end:
                return (*way, end)
            if following not in seen:
                seen.add(following)
                ways.append((*way, following))
    return None


def in_words(circle: tuple[str, ...], arrows: Arrows) -> str:
    """A circle of parts, each arrow with the modules that draw it."""
    lines = []
    for here, there in pairwise(circle):
        of_both = [(module, other) for module in sorted(arrows) for other in sorted(arrows[module])]
        drawing = [f"{m} imports {o}" for m, o in of_both if lies_in(m, here) and lies_in(o, there)]
        lines.append(f"{here} -> {there}: {', '.join(drawing)}")
    return "\n".join(lines)


def lies_in(module: str, part: str) -> bool:
    """Whether a module is that part of a room, or lies in it."""
    return module == part.removesuffix(".__init__") or module.startswith(f"{part}.")


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_holds_a_circle(room):
    """Whoever reads one module of a circle has to read them all, and none can be taken out."""
    found = [in_words(circle, ARROWS) for circle in circles(drawn(room, ARROWS))]
    assert not found, "imports in a circle: move what both need below both, or hand it over\n" + "\n\n".join(found)


def test_an_import_is_seen_wherever_it_stands_unless_only_the_type_checker_reads_it():
    known = dict.fromkeys(["p", "p.a", "p.b", "p.c", "p.d"])
    source = """
from typing import TYPE_CHECKING
from p import a
import os

if TYPE_CHECKING:
    from p.b import B

def f():
    if os.sep:
        from p.c import C
    class G:
        import p.d
"""
    assert imported(source, known) == {"p.a", "p.c", "p.d"}
    assert imported("from p import something", known) == {"p"}


def test_a_circle_between_rooms_is_found_where_both_lie_and_is_named():
    arrows = {
        "p": set(),
        "p.x": set(),
        "p.x.a": {"p.y.b"},
        "p.y": set(),
        "p.y.b": {"p.z"},
        "p.z": {"p.x.c"},
        "p.x.c": set(),
    }
    [circle] = circles(drawn("p", arrows))
    assert circle == ("p.x", "p.y", "p.z", "p.x")
    assert "p.x -> p.y: p.x.a imports p.y.b" in in_words(circle, arrows)
    assert circles(drawn("p.x", arrows)) == []


def test_a_room_that_imports_what_imports_the_room_is_a_circle():
    arrows = {"p": {"p.a"}, "p.a": {"p.b"}, "p.b": {"p"}}
    assert circles(drawn("p", arrows)) == [("p.__init__", "p.a", "p.b", "p.__init__")]
