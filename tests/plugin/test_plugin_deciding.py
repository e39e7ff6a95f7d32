"""`--vdb-stop-when-decided` in sessions: alone, under xdist, after a kill, beside what cannot stop; never a pass."""

from __future__ import annotations

import json

import pytest

from pytest_vdb.analysis import leaderboard
from pytest_vdb.records import pinned_order

pytestmark = pytest.mark.slow  # whole sessions

MODEL = """
    import os
    import numpy as np
    from pytest_vdb import Clip, metric, model

    @model("good", frames=4, height=16, width=16, fps=8.0)
    def good(prompt, recipe, seed):
        if prompt.id == "{dies}":
            {how}
        rng = np.random.default_rng(seed)
        return Clip(rng.integers(0, {top}, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)

    @metric("brightness", unit="1", better="higher")
    def brightness(clip: Clip) -> float:
        return float(clip.frames.mean() / 255)

    @metric("clips_seen", unit="1", better="higher")
    def clips_seen(clips) -> float:
        return float(len(clips))
"""
FORTY = "--vdb-prompts=forty.txt"
RULE = "--vdb-fail-on=brightness:-2%"
STOP = "--vdb-stop-when-decided"
ENDS_ITSELF_ONCE = "os.path.isdir('ended') or os.mkdir('ended') or os.kill(os.getpid(), 9)"


def model(project, *, top: int = 256, dies: str = "", how: str = "pass") -> None:
    project.pytester.makeconftest(MODEL.format(top=top, dies=dies, how=how))


@pytest.fixture
def baseline(project):
    """Forty prompts of the unchanged model."""
    (project.path / "forty.txt").write_text("".join(f"word{number}\n" for number in range(40)))
    model(project)  # of another length than what it is changed to: an old .pyc is told by that
    project.run("good", FORTY).assert_outcomes(passed=40)
    return project.runs()[-1]


def order_of(project) -> tuple[str, ...]:
    """In which the prompts of the newest run are answered where it may stop early."""
    records = project.records()
    return pinned_order((one.prompt for one in records if one.prompt), 0, records[0].suite_digest)


@pytest.mark.parametrize("more", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_plain_regression_ends_its_models_tests_and_fails_the_session(project, baseline, more, monkeypatch):
    order, page = order_of(project), project.path / "page.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    model(project, top=99)
    result = project.run_in_subprocess("good", FORTY, f"--vdb-baseline={baseline}", RULE, STOP, *more)
    run, records = project.read()
    spared = [record for record in records if record.is_spared]
    assert len(records) == 40
    assert len(spared) >= (20 if more else 30)  # workers hear of it a little later
    result.assert_outcomes(passed=40 - len(spared), skipped=len(spared), failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "FAILED regressed *brightness of good*of 40*",
            "*bets on signs*",
            f"stopped when decided: {len(spared)} of 40 generations saved*",
        ]
    )
    for told in ("bets on signs", f"{len(spared)} of 40 generations saved", "**regressed**"):
        assert told in page.read_text(encoding="utf-8")
    assert run.order == order
    out_of_turn = {record.prompt for record in spared} - set(order[40 - len(spared) :])
    assert len(out_of_turn) <= len(more)  # the other worker finishes the later test that it has begun
    ((row,),) = (table.rows for table in leaderboard.build(run, records).tables)
    assert row.passed == 40 - len(spared)
    told = next(iter(dict(row.cells[0].reasons)))
    assert told.startswith("skipped: decided: brightness of good regressed after ")
    assert not row.cells[0].failed


def test_prompts_come_in_one_order_whoever_shuffles_them(project, baseline):
    arguments = project.arguments("good", FORTY, f"--vdb-baseline={baseline}", RULE, STOP)
    assert arguments[:2] == ["-p", "no:randomly"]
    project.pytester.runpytest_subprocess(*arguments[2:])
    assert len(project.runs()) == 2
    assert tuple(record.prompt for record in project.records()) == order_of(project)


def test_a_session_that_was_killed_goes_on_to_the_same_end(project, baseline):
    """With the option the skipped stay skipped, without it they are measured."""
    order = order_of(project)
    gate = (FORTY, f"--vdb-baseline={baseline}", RULE)
    model(project, top=99, dies=order[4], how=ENDS_ITSELF_ONCE)
    assert project.run_in_subprocess("good", *gate, STOP).ret not in {0, 1}
    assert len(project.records()) == 4
    result = project.run_in_subprocess("good", *gate, STOP)
    result.stdout.fnmatch_lines(["*regressed*brightness of good*of 40*"])
    passed = [record.prompt for record in project.records() if record.status == "passed"]
    assert 4 < len(passed) < 12
    assert sum(record.reused_from is not None for record in project.records()) == 4
    project.run_in_subprocess("good", *gate, STOP)
    assert [record.prompt for record in project.records() if record.status == "passed"] == passed
    project.run_in_subprocess("good", *gate).assert_outcomes(passed=40, failed=1)


def test_a_model_that_killed_a_worker_is_decided_by_its_other_prompts(project, baseline):
    order = order_of(project)
    model(project, top=99, dies=order[2], how="os._exit(3)")
    result = project.run_in_subprocess("good", FORTY, f"--vdb-baseline={baseline}", RULE, STOP, "-n2")
    result.stdout.fnmatch_lines(["*regressed*brightness of good: 1 of the baseline's*has no value now*"])
    statuses = [record.status for record in project.records()]
    assert statuses.count("crashed") == 1
    assert statuses.count("skipped") >= 10  # how many ran meanwhile is the machine's affair


def test_a_metric_of_all_clips_is_said_before_anything_runs_and_nothing_is_skipped(project, baseline):
    more = "--vdb-metrics=brightness,clips_seen"
    project.run("good", FORTY, more)
    model(project, top=99)
    rules = "--vdb-fail-on=brightness:-2%,clips_seen:-1"
    result = project.run("good", FORTY, more, "--vdb-baseline=latest", rules, STOP)
    assert not any(record.is_spared for record in project.records())
    told = result.stdout.str()
    assert told.count("cannot stop early because of clips_seen:-1") == 2
    assert told.index("cannot stop early") < told.index("test_generation.py ")
    assert "stopped when decided: 0 of 40 generations saved (0%)" in told


def test_a_run_that_was_stopped_is_judged_later_as_in_its_session(project, baseline, capsys):
    from pytest_vdb.cli import main

    model(project, top=99)
    project.run("good", FORTY, f"--vdb-baseline={baseline}", RULE, STOP)
    run, records = project.read()
    asked = ["gate", str(project.runs()[-1]), "--baseline", str(baseline), "--fail-on", "brightness:-2%", "--json"]
    capsys.readouterr()
    assert main(asked) == 1
    (verdict,) = json.loads(capsys.readouterr().out)
    assert verdict["verdict"] == "regressed"
    assert (verdict["n"], verdict["planned"]) == (40 - sum(one.is_spared for one in records), 40)
    assert verdict["level"] == pytest.approx(0.035)
    assert main(["compare", str(baseline), str(project.runs()[-1])]) == 0
    assert "B was allowed to stop when its gate was decided" in " ".join(capsys.readouterr().out.split())
    saved = project.path / "stopped.json"
    assert main(["baseline", "save", str(project.runs()[-1]), "-o", str(saved)]) == 0
    model(project, top=60)
    result = project.run("good", FORTY, f"--vdb-baseline={saved}", RULE)
    result.stdout.fnmatch_lines(["*bets on signs*"])
    assert len(run.order) == 40


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((STOP,), "*--vdb-stop-when-decided: there is no gate that could decide*"),
        ((STOP, RULE), "*--vdb-fail-on: there is nothing to compare with*"),
    ],
    ids=["nothing", "rules alone"],
)
def test_without_a_gate_there_is_nothing_to_decide(project, given, said):
    result = project.run("good", *given)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said, "*give --vdb-baseline*"])
    assert not project.runs()


def test_a_baseline_without_rules_is_refused_with_this_option_too(project, baseline):
    result = project.run("good", FORTY, STOP, f"--vdb-baseline={baseline}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no gate says what may not get worse*"])


def test_the_ini_files_switch_waits_for_a_baseline(project, baseline):
    project.pytester.makeini("[pytest]\nvdb_stop_when_decided = yes\n")
    project.run("good", FORTY).assert_outcomes(passed=40)
    assert project.read()[0].order == ()
    model(project, top=99)
    project.run("good", FORTY, f"--vdb-baseline={baseline}", RULE)
    assert any(record.is_spared for record in project.records())
