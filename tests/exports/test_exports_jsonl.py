"""Lines that say everything themselves."""

from __future__ import annotations

import json

from pytest_vdb.results import journal


def test_every_line_says_everything_itself(board, written, tmp_path):
    told = written("jsonl", "records.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {line["schema"] for line in lines} == {1}
    assert told.values == sum(m["value"] is not None for line in lines for m in line["measurements"])
    latency = next(m for m in lines[0]["measurements"] if m["name"] == "latency")
    assert (latency["unit"], latency["better"], latency["kind"]) == ("s", "lower", "performance")


def test_what_was_written_is_read_again(board, written, tmp_path):
    written("jsonl", "records.jsonl")
    sent = [record for row in board.rows for record in row.records]
    assert journal.read_records(tmp_path / "records.jsonl") == (sent, [])
