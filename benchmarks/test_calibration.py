"""Every metric prefers moving shapes to the same shapes blurred, noisy or frozen: what a person would say, too."""

import pytest

DEGRADED = {"blur": "calibration-blurred", "noise": "calibration-noisy", "frozen": "calibration-frozen"}


@pytest.mark.parametrize("degradation", DEGRADED)
def test_metrics_prefer_the_clean_clip(vdb, vdb_prompt, degradation):
    clean = vdb.scores(vdb.generate("calibration-shapes", vdb_prompt))
    worse = vdb.scores(vdb.generate(DEGRADED[degradation], vdb_prompt))
    for name in vdb.metrics_that_order(degradation):
        assert clean[name].is_better_than(worse[name]), f"{name}: {clean[name].value} against {worse[name].value}"
