"""Sessions inside this process: what they imported stays imported, for nothing may import torch twice."""

from __future__ import annotations

import sys

import pytest


@pytest.mark.slow
def test_two_sessions_of_one_process_and_the_test_itself_have_one_torch(pytester):
    pytester.makepyfile(
        own="",
        test_it="""
        def test_it():
            import own
            import torch
            assert int(torch.ones(2).sum()) == 2
        """,
    )
    for _ in range(2):
        pytester.runpytest_inprocess("-p", "no:randomly").assert_outcomes(passed=1)
    first = sys.modules["torch"]
    import torch

    assert torch is first
    assert int(torch.ones(2).sum()) == 2


def test_the_modules_of_an_inner_project_are_forgotten(pytester):
    pytester.makepyfile(own="VALUE = 1", test_it="def test_it():\n    import own\n    assert own.VALUE == 1")
    pytester.runpytest_inprocess("-p", "no:randomly").assert_outcomes(passed=1)
    assert "own" not in sys.modules
    assert "test_it" not in sys.modules
