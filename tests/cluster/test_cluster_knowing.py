"""What storage knows: of several records of a test the better, and every strike."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from made_shards import make_record, make_shard

from pytest_vdb.cluster.attempts import Event
from pytest_vdb.cluster.knowing import LOST_AFTER_S, STRIKES, known, told_in
from pytest_vdb.records import ClipFiles
from pytest_vdb.results.lines import Teller

NOW = 1_000_000.0


def said(name, *things, end=None, at=NOW):
    """An attempt's object: records and ids of tests that begin."""
    teller, lines = Teller(), [msgspec.json.encode(Event(event="start", at=at))]
    for thing in things:
        if isinstance(thing, str):
            lines.append(msgspec.json.encode(Event(event="begin", at=at, nodeid=thing)))
        else:
            told = teller.told(thing)
            teller.kept(told)
            lines.append(told.whole)
    if end is not None:
        lines.append(msgspec.json.encode(Event(event="end", at=at + 5, why=end)))
    return told_in(name, b"\n".join([*lines, b""]))


def clip(digest):
    return ClipFiles(digest=digest, frames=1, height=1, width=1, fps=8.0)


def test_a_result_stands_before_an_accident_and_what_was_measured_before_what_was_reused():
    crashed, reused = make_record("a", status="crashed"), make_record("a", reused_from="other")
    for first, second in ((crashed, make_record("a")), (make_record("a"), reused)):
        found = known([said("1", first), said("2", second)])
        assert list(found.records.values()) == [make_record("a")]
        assert found.duplicates == 1
        assert not found.disagreements


def test_of_two_results_the_earlier_counts_whichever_is_read_first():
    early, late = make_record("a", started_at="2026-01-01"), make_record("a", started_at="2026-01-02", duration_s=9.0)
    for order in ((early, late), (late, early)):
        assert known([said("1", order[0]), said("2", order[1])]).records[early.nodeid] == early


def test_two_clips_of_one_test_on_one_kind_of_machine_disagree():
    one, other = make_record("a", clip=clip("1")), make_record("a", clip=clip("2"))
    assert "two different clips on H200" in known([said("1", one), said("2", other)]).disagreements[0]
    elsewhere = replace(other, hardware="L4")
    assert not known([said("1", one), said("2", elsewhere)]).disagreements


def test_a_test_that_was_changed_between_two_attempts_is_told():
    changed = make_record("a", suite_digest="another")
    assert "it was another test" in known([said("1", make_record("a")), said("2", changed)]).disagreements[0]


def test_three_deaths_in_one_test_are_its_fault_and_preemptions_are_not():
    deaths = [said(str(number), make_record("a"), "killer") for number in range(STRIKES)]
    assert known(deaths).quarantined == {"killer": STRIKES}
    assert known(deaths[1:]).quarantined == {}
    gone = [said(str(number), "killer", end="preempted") for number in range(STRIKES)]
    assert known(gone).quarantined == {}
    assert known([*deaths, said("9", make_record("k", nodeid="killer"))]).quarantined == {}


def test_a_shard_is_finished_when_a_session_says_so_or_every_test_has_its_result():
    shard = make_shard()
    results = [make_record(prompt) for prompt in "abc"]
    assert not known([said("1", *results[:2])]).is_finished(shard)
    assert known([said("1", *results[:2]), said("2", results[2])]).is_finished(shard)
    assert known([said("1", results[0], end="finished")]).is_finished(shard)
    assert not known([said("1", results[0], end="cancelled")]).is_finished(shard)
    assert not known([said("1", *results[:2], make_record("c", status="crashed"))]).is_finished(shard)


def test_who_says_nothing_for_minutes_does_not_run():
    assert said("1", "one").runs(NOW + 1)
    assert not said("1", "one").runs(NOW + LOST_AFTER_S + 1)
    assert not said("1", "one", end="finished").runs(NOW + 6)


def test_a_torn_object_costs_its_torn_line():
    teller, lines = Teller(), []
    for prompt in "ab":
        told = teller.told(make_record(prompt))
        teller.kept(told)
        lines.append(told.whole)
    torn = told_in("attempts/wan.0000/1.jsonl", b"\n".join(lines)[:-20])
    assert [record.prompt for record in torn.records] == ["a"]
    assert "left out a line" in torn.warnings[0]
    assert told_in("1", b"").records == []
