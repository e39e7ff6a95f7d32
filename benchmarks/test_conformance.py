"""Every model keeps the rules of the house: legal shapes, pinned seeds, prompts that matter, memory given back."""

import pytest

from pytest_vdb.models.conformance import CHECKS

FREES_MODEL = {"memory": pytest.mark.vdb_frees_model}


@pytest.mark.parametrize("check", [pytest.param(name, marks=FREES_MODEL.get(name, ())) for name in CHECKS])
def test_conformance(vdb, vdb_model, check):
    finding = vdb_model.examine(check)
    vdb.note(finding.detail)
    if finding.outcome == "not_applicable":
        pytest.skip(finding.detail)
    assert finding.outcome == "passed", finding.detail
