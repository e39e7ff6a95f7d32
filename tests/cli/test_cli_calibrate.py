"""`vdb calibrate`, as a user types it."""

from __future__ import annotations

import json

import pytest

from pytest_vdb.cli import main
from pytest_vdb.degradations import DEGRADATIONS


@pytest.mark.slow
def test_the_default_claims_of_single_frames_hold(capsys):
    assert main(["calibrate", "--metrics", "sharpness,frozen_frames", "--scenes", "2", "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "-1.00 +" in shown
    assert "2 scenes" in shown


def test_json_has_one_answer_per_metric_and_degradation(capsys):
    assert main(["calibrate", "--metrics", "sharpness", "--scenes", "1", "--device", "cpu", "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["degradation"] for answer in answers] == list(DEGRADATIONS)
    assert [answer["holds"] for answer in answers] == [True, None, None, None, None, None]


def test_absent_weights_are_said(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert main(["calibrate", "--metrics", "motion_smoothness", "--scenes", "1", "--device", "cpu"]) == 0
    assert "not on this machine" in capsys.readouterr().out
