"""Every model keeps the rules of the house: legal shapes, pinned seeds, prompts that matter, memory given back."""

import pytest

from pytest_vdb.models.conformance import CHECKS


@pytest.mark.parametrize("check", CHECKS)
def test_conformance(vdb, vdb_model, check):
    finding = vdb_model.examine(check)
    vdb.note(finding.detail)
    if finding.outcome == "not_applicable":
        pytest.skip(finding.detail)
    assert finding.outcome == "passed", finding.detail
