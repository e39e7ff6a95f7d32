"""JUnit XML: a test case per test, whose properties are what it measured, each with its unit and direction.

`properties_of` is also what `pytest --junitxml` writes of a live session.
"""

from __future__ import annotations

from xml.etree import ElementTree

from pytest_vdb import files
from pytest_vdb.analysis.readings import failure_line
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.escaping import visible
from pytest_vdb.exports.contract import Destination, Target, Written, counted
from pytest_vdb.records import Measurement, Record

_PREFIX = "vdb"
_SKIPPED = frozenset({"skipped", "xfailed", "not_run", "quarantined"})
_PASSED = frozenset({"passed"})


def properties_of(record: Record) -> list[tuple[str, str]]:
    """Names and values: whose test it is, then each measurement's value with unit, direction, n and interval.

    What is missing has its reason (`vdb.latency.missing`) and no value.
    """
    about = {
        "model": record.model,
        "prompt": record.prompt,
        "seed": record.seed,
        "weights": record.weights,
        "recipe": record.recipe_digest,
        "suite": record.suite,
        "hardware": record.hardware,
        "reused_from": record.reused_from,
    }
    found = [(f"{_PREFIX}.{name}", visible(value)) for name, value in about.items() if value is not None]
    for measured in record.measurements:
        found += [(f"{_PREFIX}.{visible(measured.name)}{part}", text) for part, text in _properties_of_value(measured)]
    return found


def _properties_of_value(measured: Measurement) -> list[tuple[str, str]]:
    """What stands behind the metric's name, and the value."""
    if measured.value is None:
        return [(".missing", visible(measured.reason))]
    parts = [("", repr(measured.value)), (".unit", visible(measured.unit)), (".better", measured.better)]
    if measured.n != 1:
        parts.append((".n", str(measured.n)))
    if measured.interval is not None:
        parts += [(".low", repr(measured.interval[0])), (".high", repr(measured.interval[1]))]
    return [*parts, (".wiring", "true")] if measured.wiring else parts


def _write_junit(board: Leaderboard, to: Destination) -> Written:
    records = [record for row in board.rows for record in row.records]
    path = files.write(files.expanded(to.place), _rendered_suite(board, records))
    every = [measured for record in records for measured in record.measurements]
    return Written(
        places=(str(path),),
        values=sum(measured.value is not None for measured in every),
        left_out=counted((m.name, m.reason or "", 1) for m in every if m.value is None),
    )


def _rendered_suite(board: Leaderboard, records: list[Record]) -> bytes:
    """As pytest writes it (`xunit2`), without the host's name."""
    root = ElementTree.Element("testsuites", name="pytest-vdb")
    failed = sum(record.status not in _PASSED | _SKIPPED for record in records)
    skipped = sum(record.status in _SKIPPED for record in records)
    seconds = sum(record.duration_s or 0.0 for record in records)
    counts = {"tests": len(records), "failures": failed, "errors": 0, "skipped": skipped}
    suite = ElementTree.SubElement(root, "testsuite", name=visible(board.run.id), timestamp=board.run.started_at)
    suite.attrib.update({name: str(n) for name, n in counts.items()} | {"time": f"{seconds:.3f}"})
    for record in records:
        suite.append(_case(record))
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _case(record: Record) -> ElementTree.Element:
    file, *inner = record.nodeid.split("::")
    classname = ".".join([file.removesuffix(".py").replace("/", "."), *inner[:-1]])
    name = inner[-1] if inner else record.nodeid
    case = ElementTree.Element("testcase", classname=visible(classname), name=visible(name))
    case.set("time", f"{record.duration_s or 0.0:.3f}")
    listed = ElementTree.SubElement(case, "properties")
    for key, value in properties_of(record):
        ElementTree.SubElement(listed, "property", name=key, value=value)
    if record.status not in _PASSED:
        kind = "skipped" if record.status in _SKIPPED else "failure"
        ElementTree.SubElement(case, kind, message=visible(failure_line(record)), type=record.status)
    return case


TARGET = Target(
    name="junit",
    about="JUnit XML: a test case per test, with its values as properties",
    place="FILE",
    default="exports/{run}.junit.xml",
    write=_write_junit,
)
