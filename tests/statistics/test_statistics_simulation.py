"""The simulation behind docs/statistics.md: it runs, and its name does not hide the standard library's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PERF = Path(__file__).parent.parent.parent / "benchmarks" / "perf"


def output_of(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=PERF, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.slow
def test_a_short_simulation_prints_tables_of_figures():
    parts = ("alarms", "power", "catches", "bars", "differences", "margins", "stopping", "costs", "turns")
    printed = output_of(str(PERF / "statistics.py"), "--draws", "4", *parts)
    assert printed.count("4 draws") == len(parts)
    assert "| gate, one metric, worse | " in printed
    assert "nan" not in printed.lower()


@pytest.mark.slow
def test_the_scripts_beside_it_are_given_the_standard_librarys_statistics():
    assert output_of("-c", "import statistics; print(statistics.median([1, 5, 9]))") == "5\n"
