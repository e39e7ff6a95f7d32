"""Workers that die under `-n 2`: the test in flight fails with the reason, all others complete, none is doubled."""

from __future__ import annotations

import contextlib
import random
import xml.etree.ElementTree as ElementTree
from collections import Counter
from typing import Any

import psutil
import pytest
from commands import Place, lines_of, runs_of, whole_records
from projects import make_project, plan_accidents

pytestmark = pytest.mark.slow

PROMPTS = ("p00", "p01", "p02")


def a_death(chance: random.Random) -> tuple[str, object]:
    """In the test itself, or by a signal a moment later."""
    return chance.choice(
        [("kill", None), ("segv", None), ("abort", None), ("exit", None), ("later", chance.uniform(0, 0.04))]
    )


def by_test(place: Place) -> dict[tuple[str, str], dict[str, Any]]:
    """The records of the one run, by model and prompt: one for each test."""
    (run,) = runs_of(place.folder / "reports")
    records = whole_records(run / "records.jsonl")
    found = {(record["model"], record["prompt"]): record for record in records}
    assert len(found) == len(records), "a test has two records"
    return found


def check_deaths(place: Place, chance: random.Random, *, many: int, twice: bool) -> tuple[str, ...]:
    """Each model kills its worker in one test; with `twice` the first one does in two, and is not run a third time.

    Returns:
        The words of the session.
    """
    models = [f"dies-{at:02}" for at in range(many)]
    command = make_project(place, models=models, prompts=len(PROMPTS))
    command = (*command, "-n", "2", "--max-worker-restart=1000", "--junitxml=junit.xml")
    again = models[0] if twice else None
    deaths = {
        (model, prompt): a_death(chance)
        for model in models
        for prompt in (PROMPTS[:2] if model == again else [chance.choice(PROMPTS)])
    }
    plan_accidents(place, {"/".join(test): death for test, death in deaths.items()})
    place.runs(*command, seconds=400).ends(1)

    records = by_test(place)
    assert set(records) == {(model, prompt) for model in models for prompt in PROMPTS}
    for test, record in records.items():
        if test[0] != again:
            assert record["status"] == ("crashed" if test in deaths else "passed"), (test, deaths.get(test), record)
        if record["status"] == "crashed":
            assert "crash" in record["failure"]["message"]
    if again:
        ends = Counter(record["status"] for test, record in records.items() if test[0] == again)
        assert ends["crashed"] == 2
        assert ends["quarantined"] + ends["passed"] == 1
    suite = ElementTree.parse(place.folder / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    red = [case for case in suite if case.find("failure") is not None or case.find("error") is not None]
    lost = [record for record in records.values() if record["status"] in {"crashed", "quarantined"}]
    assert (len(suite), len(red)) == (len(records), len(lost))
    return command


@pytest.mark.rounds(short=1, long=1)
def test_a_worker_that_dies_costs_its_own_test(place: Place, chance):
    check_deaths(place, chance, many=1, twice=False)


@pytest.mark.rounds(short=0, long=8)
@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_many_workers_that_die_cost_their_own_tests_and_the_same_command_goes_on(place: Place, chance, twice):
    session = check_deaths(place, chance, many=8, twice=twice)
    plan_accidents(place, {})
    place.runs(*session, seconds=400).ends(0)


@pytest.mark.rounds(short=1, long=40)
def test_a_worker_that_is_killed_from_outside_costs_one_test_at_most(place: Place, chance):
    """Before its first test, in one, or between two."""
    session = place.begins(*make_project(place, prompts=6), "-n", "2")
    early = chance.random() < 0.25
    session.runs_until(lambda: ("created: 2/2" if early else "PASSED ") in session.said())
    session.ends_within(chance.uniform(0, 1.5 if early else 1))
    workers = [child for child in session.children() if child.ppid() == session.process.pid]
    if workers:
        victim = chance.choice(sorted(workers, key=lambda worker: worker.pid))
        with contextlib.suppress(psutil.NoSuchProcess):  # it had ended by itself
            victim.kill()
    assert session.ends_within(180), "the session hangs"

    (run,) = runs_of(place.folder / "reports")
    lines = lines_of(run / "records.jsonl")
    assert (lines.unreadable, lines.torn) == (0, False)
    assert len({record["nodeid"] for record in lines.records}) == len(lines.records) == 12
    lost = [record for record in lines.records if record["status"] != "passed"]
    assert len(lost) <= 1, [(record["nodeid"], record["status"]) for record in lost]
    assert all("crash" in record["failure"]["message"] for record in lost)
    assert session.process.returncode == len(lost)
    assert "INTERNALERROR" not in session.said()
