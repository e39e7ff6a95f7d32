"""Every metric prefers moving shapes to the same shapes made worse, and the more so the worse they are: as people do.

A metric is held to what it claims to rank (`orders`). `vdb calibrate` prints the whole table.
"""

from dataclasses import replace

import pytest

from pytest_vdb.analysis.calibration import HOLDS_FROM, correlation
from pytest_vdb.degradations import DEGRADATIONS, WORST, degraded

DEGRADED = {"blur": "calibration-blurred", "noise": "calibration-noisy", "frozen": "calibration-frozen"}
SCENES = 3


@pytest.mark.parametrize("degradation", DEGRADED)
def test_metrics_prefer_the_clean_clip(vdb, vdb_prompt, degradation):
    clean = vdb.scores(vdb.generate("calibration-shapes", vdb_prompt))
    worse = vdb.scores(vdb.generate(DEGRADED[degradation], vdb_prompt))
    measured = [name for name in vdb.metrics_that_order(degradation) if clean[name].value is not None]
    if not measured:
        pytest.skip(f"no metric of this session claims to rank {degradation} and can be measured here")
    for name in measured:
        assert clean[name].is_better_than(worse[name]), f"{name}: {clean[name].value} against {worse[name].value}"


@pytest.mark.parametrize("degradation", DEGRADATIONS)
def test_metrics_follow_the_severity(vdb, degradation):
    correlations = {name: [] for name in vdb.metrics_that_order(degradation, with_reference=True)}
    for prompt in vdb.prompts[:SCENES]:
        clean = vdb.generate("calibration-shapes", prompt)
        steps = [replace(clean, clip=degraded(clean.clip, degradation, step)) for step in range(WORST + 1)]
        scores = [vdb.scores(step, reference=clean.clip) for step in steps]
        for name, found in correlations.items():
            sign = -1 if scores[0][name].better == "higher" else 1
            rho = correlation([score[name].value for score in scores])
            found += [] if rho is None else [sign * rho]
    measured = {name: sum(found) / len(found) for name, found in correlations.items() if found}
    if not measured:
        pytest.skip(f"no metric of this session claims to rank {degradation} and can be measured here")
    for name, mean in measured.items():
        assert mean >= HOLDS_FROM, f"{name} follows the severity of {degradation} with a correlation of {mean:.2f}"
