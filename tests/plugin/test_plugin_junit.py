"""`--junitxml`: what a benchmark measured stands in its test case, as CI shows it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.slow  # whole sessions


@pytest.mark.parametrize("more", [(), ("-n2",)], ids=["alone", "xdist"])
def test_values_are_properties_of_the_test_case(project, more):
    junit = project.path / "junit.xml"
    result = project.run_in_subprocess("good,raises", f"--junitxml={junit}", *more)
    result.assert_outcomes(passed=3, failed=3)
    told = {
        case.get("name"): {one.get("name"): one.get("value") for one in case.iter("property")}
        for case in ElementTree.parse(junit).iter("testcase")
    }
    for record in project.records():
        properties = told[record.nodeid.partition("::")[2]]
        assert properties["vdb.model"] == record.model
        measured = {m.name: str(m.value) for m in record.measurements if m.value is not None}
        assert {name: properties[f"vdb.{name}"] for name in measured} == measured
        assert all(properties[f"vdb.{m.name}.missing"] for m in record.measurements if m.value is None)
    assert any("vdb.brightness" in properties for properties in told.values())


def test_without_junit_nobody_is_told(project):
    project.pytester.makeconftest(project.path.joinpath("conftest.py").read_text() + TELLS)
    result = project.run_in_subprocess("good")
    result.stdout.fnmatch_lines(["user properties: []"])


TELLS = """
def pytest_terminal_summary(terminalreporter):
    reports = [report for found in terminalreporter.stats.values() for report in found]
    print("user properties:", [one for report in reports for one in getattr(report, "user_properties", ())])
"""
