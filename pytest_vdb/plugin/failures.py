"""What pytest prints of a benchmark that failed: texts of models and prompts are shown, and nothing in them is obeyed.

The message of an exception is whatever a model raised; a terminal obeys its control characters, a CI runner its lines.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from typing import Any

import pytest

from pytest_vdb.escaping import inert, lines


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """After everyone else had their say: what is printed, written as JUnit XML and sent to a controller."""
    report = yield
    if "vdb_case" in getattr(item, "fixturenames", ()):
        if report.longrepr is not None:
            report.longrepr = _shown(report.longrepr)
        report.sections = [(name, inert(text)) for name, text in report.sections]
    return report


def _shown(part: Any) -> Any:
    """pytest keeps a failure as text, a tuple, or a tree of dataclasses down to each line of source."""
    if isinstance(part, str):
        return lines(part)
    if isinstance(part, list | tuple):
        return type(part)(map(_shown, part))
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        for field in dataclasses.fields(part):
            object.__setattr__(part, field.name, _shown(getattr(part, field.name)))
    return part
