"""Blocks in turns: what cancels, what regresses, and that nothing passes by absence."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from sessions_alike import ENVIRONMENT

from pytest_vdb.analysis.gate import Verdict, exit_code
from pytest_vdb.analysis.interleaved import Block, Turn, judge_turns, other_software, without_a_test_in_common
from pytest_vdb.analysis.rules import parse_rules
from pytest_vdb.records import Failure, Measurement, Record, Run

PROMPTS = 6


def block(
    name: str,
    latency: float,
    *,
    sharpness: float = 0.5,
    model: str = "a",
    failing: Sequence[int] = (),
    rate: float = 10.0,
    packages: dict[str, str] | None = None,
) -> Block:
    """A session of six prompts, each a little slower than the one before."""
    records = [
        Record(
            run=name,
            nodeid=f"t.py::test_generation[{model}-p{at}]",
            benchmark="t.py::test_generation",
            model=model,
            status="failed" if at in failing else "passed",
            failure=Failure(type="RuntimeError", message="out of luck") if at in failing else None,
            prompt=f"p{at}",
            seed=at,
            weights="hub",
            recipe_digest="r",
            hardware="CPU",
            measurements=()
            if at in failing
            else (
                Measurement(name="latency", value=latency + 0.1 * at, unit="s", better="lower", kind="performance"),
                Measurement(name="throughput", value=rate, unit="frames/s", better="higher", kind="performance"),
                Measurement(name="sharpness", value=sharpness + 0.01 * at, unit="1", better="higher"),
            ),
        )
        for at in range(PROMPTS)
    ]
    environment = dataclasses.replace(ENVIRONMENT, packages=packages or {})
    return Block(Run(id=name, started_at="2026-01-01T00:00:00Z", environment=environment), tuple(records))


def in_turns(slower: float, *, blocks: int = 12, noise: float = 0.005, **head: object) -> list[Turn]:
    """Blocks whose moods differ by a fifth, and a head that takes so many times as long."""
    rng = np.random.default_rng(3)
    moods = np.exp(rng.normal(0, 0.2, blocks))
    return [
        Turn(
            block(f"base-{at}", mood * float(np.exp(rng.normal(0, noise)))),
            block(f"head-{at}", slower * mood * float(np.exp(rng.normal(0, noise))), **head),  # type: ignore[arg-type]
        )
        for at, mood in enumerate(moods)
    ]


def judged(turns: Sequence[Turn], rules: str, lost: Sequence[str] = ()) -> dict[str, Verdict]:
    return {verdict.metric: verdict for verdict in judge_turns(turns, parse_rules(rules), lost=lost)}


def test_five_percent_more_regress_though_sessions_differ_by_a_fifth():
    found = judged(in_turns(1.08), "latency:+2%,sharpness:-1%")
    latency = found["latency"]
    assert (latency.outcome, latency.n, found["sharpness"].outcome) == ("regressed", 12, "equivalent")
    assert latency.ratio is not None
    assert latency.ratio_interval is not None
    low, high = latency.ratio_interval
    assert 1.02 < low < latency.ratio < high < 1.1
    assert "allowed +2%) over 12 blocks" in latency.reason
    assert found["sharpness"].ratio is None
    assert found["sharpness"].n == PROMPTS


def test_the_same_twice_is_equivalent_and_a_faster_head_improved():
    assert judged(in_turns(1.0), "latency:+2%")["latency"].outcome == "equivalent"
    assert judged(in_turns(0.9), "latency:+2%")["latency"].outcome == "improved"


def test_what_noise_hides_is_inconclusive_with_the_blocks_that_would_decide():
    verdict = judged(in_turns(1.04, noise=0.06), "latency:+2%")["latency"]
    assert verdict.outcome == "inconclusive"
    assert verdict.needed is not None
    assert verdict.needed > 12
    assert verdict.needed % 2 == 0
    assert f"about {verdict.needed} blocks would (--blocks {verdict.needed})" in verdict.reason


def test_two_blocks_are_too_few():
    verdict = judged(in_turns(2.0, blocks=2), "latency:+2%")["latency"]
    assert verdict.outcome == "inconclusive"
    assert "2 blocks: at least 3 are needed" in verdict.reason


def test_fewer_frames_per_second_are_worse():
    assert judged(in_turns(1.0, rate=9.0), "throughput:-5%")["throughput"].outcome == "regressed"
    assert judged(in_turns(1.0, rate=11.0), "throughput:-5%")["throughput"].outcome == "improved"


def test_a_worse_picture_regresses_as_in_a_gate():
    assert judged(in_turns(1.0, sharpness=0.4), "sharpness:-1%")["sharpness"].outcome == "regressed"


def test_a_test_that_fails_in_one_block_of_the_head_is_missing():
    turns = in_turns(1.0)
    turns[7] = Turn(turns[7].base, block("head-7", 1.0, failing=(2,)))
    verdict = judged(turns, "sharpness:-1%")["sharpness"]
    assert (verdict.outcome, verdict.n) == ("missing", PROMPTS - 1)
    assert "1 of the baseline's 6 (prompt, seed) pairs has no value now (failed: RuntimeError" in verdict.reason


def test_a_test_that_fails_in_the_base_is_not_compared():
    turns = in_turns(1.0)
    turns[7] = Turn(block("base-7", 1.0, failing=(2,)), turns[7].head)
    assert judged(turns, "sharpness:-1%")["sharpness"].n == PROMPTS - 1


def test_a_block_that_failed_is_no_pass():
    lost = ["block 3 of head measured nothing"]
    equal = judged(in_turns(1.0), "latency:+2%", lost)["latency"]
    assert (equal.outcome, exit_code([equal])) == ("missing", 12)
    assert equal.reason.startswith("block 3 of head measured nothing; the others: latency of a: ")
    assert judged(in_turns(1.2), "latency:+2%", lost)["latency"].outcome == "regressed"


def test_no_turn_at_all_is_missing_for_every_rule():
    found = judge_turns([], parse_rules("latency:+2%,sharpness:-1%"), lost=["block 1 of base measured nothing"])
    assert [(one.metric, one.outcome, one.reason) for one in found] == [
        ("latency", "missing", "block 1 of base measured nothing"),
        ("sharpness", "missing", "block 1 of base measured nothing"),
    ]


def test_a_model_of_one_side_is_told_by_the_sides_names():
    turns = in_turns(1.0)
    new = [dataclasses.replace(one, model="b", nodeid=one.nodeid.replace("[a", "[b")) for one in turns[0].head.records]
    turns[0] = Turn(turns[0].base, Block(turns[0].head.run, (*turns[0].head.records, *new)))
    reasons = [verdict.reason for verdict in judge_turns(turns, parse_rules("latency:+2%"))]
    assert "latency of b: not in base" in reasons


def test_blocks_without_a_test_in_common_are_told():
    assert without_a_test_in_common(in_turns(1.0)[0]) is None
    told = without_a_test_in_common(Turn(block("x", 1.0), block("y", 1.0, model="b")))
    assert told is not None
    assert "base ran t.py::test_generation[a-p0]" in told
    assert "head ran t.py::test_generation[b-p0]" in told


def test_other_software_is_told():
    turn = Turn(block("x", 1.0, packages={"torch": "2.9", "av": "17"}), block("y", 1.0, packages={"torch": "2.10"}))
    assert other_software(turn) == "av 17 (head absent), torch 2.9 (head 2.10)"
    assert other_software(in_turns(1.0)[0]) is None


@pytest.mark.slow
@pytest.mark.parametrize(("change", "bound"), [(0.02, (0.0, 0.08)), (0.08, (0.9, 1.0))])
def test_the_margin_rarely_regresses_and_what_is_far_beyond_it_does(change, bound):
    """100 sessions of twelve blocks at a noise of 2%: three standard errors above 5% are allowed."""
    rng, alarms = np.random.default_rng(20), 0
    for _ in range(100):
        base, head = (np.exp(rng.normal(0, 0.02, 12)) for _ in range(2))
        turns = [
            Turn(block(f"b{at}", 10 * base[at]), block(f"h{at}", 10 * (1 + change) * head[at])) for at in range(12)
        ]
        alarms += judged(turns, "latency:+2%")["latency"].outcome == "regressed"
    assert bound[0] <= alarms / 100 <= bound[1] + 0.04
