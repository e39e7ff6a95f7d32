"""The two schemas of a run's records: what one says, the other says too; and what breaks costs no more than before."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import get_args

import pytest

from pytest_vdb import files
from pytest_vdb.errors import DefinitionMissing, NewerSchema, RecordError
from pytest_vdb.records import (
    ClipFiles,
    Environment,
    Failure,
    Measured,
    Measurement,
    Record,
    Run,
    Status,
    to_json,
    to_plain,
)
from pytest_vdb.results import journal
from pytest_vdb.results.journal import Journal
from pytest_vdb.results.lines import models_told

HERE = Environment(python="3.11", platform="test", hardware="cpu", cpu="cpu", cpu_count=1, memory_mib=1)
RUN = Run(id="20261122-041530-a1b2c3", started_at="2026-11-22T04:15:30+00:00", environment=HERE)


def measured(name, value=0.5, **more):
    return Measurement(**{"name": name, "value": value, "unit": "1", "better": "higher"} | more)


def clip_files(**more):
    return ClipFiles(**{"digest": "d", "frames": 9, "height": 8, "width": 7, "fps": 8.0} | more)


EVERY_SORT = (
    measured("plain"),
    measured("cost", 3, unit="s", better="lower", kind="performance"),
    measured("missing", None, reason="no weights: vdb fetch clip"),
    measured("remarked", 498.0, reason="FVD of 16 clips: most of it can be bias", n=16),
    measured("with.interval", 1.5, interval=(1.0, 2.0), n=7),
    measured("with.series", 0.25, series=(0.1, 0.4)),
    measured("missing.of.many", None, reason="too few clips", n=3),
    measured("of.wiring", 1e-300, wiring=True, version="2+tiny", better="neutral"),
    measured("hardly.anything", 5e-324),
    measured("nearly.everything", 1.7976931348623157e308),
    measured("a.third", 1 / 3),
    measured("minus.nothing", -0.0),
    measured("whole", 12345678901234567.0),
)


def a_record(number=0, **more):
    known = {
        "run": RUN.id,
        "nodeid": f"t.py::t[m-p{number}]",
        "benchmark": "t.py::t",
        "model": "m",
        "status": "passed",
        "prompt": f"p{number}",
        "prompt_text": "two\nlines",
        "seed": number,
        "measurements": (measured("sharpness", number / 7), measured("latency", 1.5, unit="s", kind="performance")),
    }
    return Record(**known | more)


STRANGE = (
    a_record(1, measurements=EVERY_SORT),
    a_record(2, measurements=tuple(reversed(EVERY_SORT))),
    a_record(3, measurements=()),
    a_record(4, prompt=None, prompt_text=None, seed=None, benchmark="t.py::set"),
    a_record(5, parameters={"strength": "0.9"}, recipe={"frames": 17, "lora": None, "list": [1, {"a": 2.5}]}),
    a_record(6, clip=clip_files()),
    a_record(7, clip=clip_files(fps=23.976, lossless="k", preview="clips/a.mp4", poster="clips/a.jpg")),
    a_record(8, clip=clip_files(preview="clips/a.b.mp4", poster="elsewhere/a.jpg")),
    a_record(9, clip=clip_files(preview=None, poster=".jpg")),
    a_record(10, clip=clip_files(preview=".mp4", poster=".jpg")),
    a_record(11, attempts=3, notes=("one", "two"), reused_from="earlier", features="features/a.npz", worker="gw0"),
    a_record(12, failure=Failure(type="E", message="m", traceback="Traceback\n  ..."), status="failed"),
    a_record(13, published="results.json", task="t2v", weights="hub", revision="r", hardware="H100", sample_index=4),
    a_record(14, started_at="2026-01-01T00:00:00.123+00:00", duration_s=1.25, category="motion", suite="s@1"),
    a_record(15, prompt_text="日本語 \u2028 \x00 \x1b[31m \U0001f600", model="::error::"),
    a_record(16, measurements=(measured("twice", 1.0), measured("twice", 2.0))),
)


def in_schema_2(folder: Path, records) -> Path:
    book = Journal.create(folder, RUN)
    for record in records:
        book.append(record)
    return book.folder / "records.jsonl"


def in_schema_1(folder: Path, records) -> Path:
    place = folder / "runs" / RUN.id
    files.write(place / "run.json", to_json(RUN) + "\n")
    return files.write(place / "records.jsonl", "".join(to_json(record) + "\n" for record in records))


def definitions(path: Path):
    return [line for line in path.read_text(encoding="utf-8").splitlines() if '"define"' in line]


@pytest.mark.parametrize("record", STRANGE, ids=lambda record: record.nodeid)
def test_both_schemas_say_the_same(tmp_path, record):
    new, old = in_schema_2(tmp_path / "2", [record]), in_schema_1(tmp_path / "1", [record])
    assert journal.read_records(new) == journal.read_records(old) == ([record], [])
    (read,) = journal.read_records(new)[0]
    assert to_json(read) == to_json(journal.read_records(old)[0][0])
    assert to_plain(read) == to_plain(record)


@pytest.mark.parametrize("status", [*get_args(Status), "paused"])
def test_every_outcome_is_kept_also_one_of_another_version(tmp_path, status):
    record = a_record(status=status)
    assert journal.read_records(in_schema_2(tmp_path, [record])) == ([record], [])


def test_a_name_that_is_no_utf_8_is_spelled_out_in_both(tmp_path):
    record = a_record(nodeid="latin\udce9.mkv", model="m\udce9")
    (new,), (old,) = (journal.read_records(write(tmp_path / "r", [record]))[0] for write in (in_schema_2, in_schema_1))
    assert new == old
    assert new.nodeid == "latin\\udce9.mkv"


def test_what_records_share_is_said_once(tmp_path):
    records = [a_record(at % 5, model=f"m{at % 2}", nodeid=f"n{at}") for at in range(40)]
    path = in_schema_2(tmp_path, records)
    assert len(definitions(path)) == 2 + 5 + 1
    assert journal.read_records(path) == (records, [])
    longest = max(map(len, path.read_text(encoding="utf-8").splitlines()[8:]))
    assert longest < len(to_json(records[0])) / 4


def test_definitions_are_shared_in_memory(tmp_path):
    first, second = journal.read_records(in_schema_2(tmp_path, [a_record(1), a_record(2)]))[0]
    assert first.measurements.metrics is second.measurements.metrics
    assert first.run is second.run


@pytest.mark.parametrize("lines", [1, 2])
def test_a_file_torn_at_any_byte_of_its_last_lines_is_read_up_to_there(tmp_path, lines):
    """The last record, whose prompt is new, and the definition of that prompt."""
    records = [a_record(at) for at in range(3)]
    path = in_schema_2(tmp_path, records)
    whole = path.read_bytes()
    kept = b"".join(whole.splitlines(keepends=True)[:-lines])
    for end in range(len(kept) + 1, len(whole) - 1):
        path.write_bytes(whole[:end])
        read, warnings = journal.read_records(path)
        assert read == records[:2]
        torn = not whole[:end].endswith(b"\n") and not whole[end:].startswith(b"\n")
        assert len(warnings) == torn, (end, warnings)
        assert all("the last line is torn" in warning for warning in warnings)


def test_a_session_that_goes_on_behind_a_torn_definition_defines_again(tmp_path):
    path = in_schema_2(tmp_path / "a", [a_record(1)])
    more = in_schema_2(tmp_path / "b", [a_record(2)])
    torn = path.read_bytes() + definitions(more)[0].encode()[:30]
    path.write_bytes(torn + b"\n" + more.read_bytes())
    records, warnings = journal.read_records(path)
    assert records == [a_record(1), a_record(2)]
    assert len(warnings) == 1


@pytest.mark.parametrize("order", [(1, 2), (2, 1), (1, 2, 1), (2, 1, 2)])
def test_files_of_both_schemas_may_stand_one_behind_the_other(tmp_path, order):
    write = {1: in_schema_1, 2: in_schema_2}
    records = [[a_record(10 * part), a_record(10 * part + 1)] for part in range(len(order))]
    parts = [write[schema](tmp_path / str(at), records[at]).read_bytes() for at, schema in enumerate(order)]
    both = files.write(tmp_path / "both.jsonl", b"".join(parts))
    assert journal.read_records(both) == ([record for part in records for record in part], [])


def test_of_two_contents_of_one_name_the_last_one_before_a_record_counts(tmp_path):
    path = in_schema_2(tmp_path, [a_record(1)])
    name = next(json.loads(line)["define"] for line in definitions(path) if '"question"' in line)
    other = json.dumps({"schema": 2, "define": name, "question": {"prompt": "another"}})
    text = path.read_text(encoding="utf-8")
    path.write_text(text + other + "\n" + text.splitlines()[-1] + "\n", encoding="utf-8")
    assert [record.prompt for record in journal.read_records(path)[0]] == ["p1", "another"]


def test_a_record_that_takes_the_place_of_another_brings_its_definitions(tmp_path):
    book = Journal.create(tmp_path, RUN)
    for number in range(3):
        book.append(a_record(number))
    other = a_record(1, measurements=EVERY_SORT, model="another")
    book.replace(a_record(1), other)
    book.append(dataclasses.replace(other, nodeid="n"))
    read = journal.read(book.folder)[1]
    assert read == [a_record(0), other, a_record(2), dataclasses.replace(other, nodeid="n")]
    assert len(definitions(book.folder / "records.jsonl")) == 3 + 2 + 2


@pytest.mark.parametrize("what", ["setup", "question", "metrics"])
def test_a_record_without_its_definition_is_an_error_that_says_where(tmp_path, what):
    path = in_schema_2(tmp_path, [a_record(1), a_record(1, nodeid="n")])
    damaged = [
        line.replace("define", "defimed") if f'"{what}":' in line and '"define"' in line else line
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    path.write_text("\n".join(damaged) + "\n", encoding="utf-8")
    with pytest.raises(DefinitionMissing, match=rf"records\.jsonl:4: it needs the {what} '\w{{8}}'.*\n.*restore"):
        journal.read_records(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"values":[', '"values":[1.5,', "3 values of 2 metrics"),
        ('"values":[', '"values":[null,', "got `null`"),
        ('"values":[', '"values":["",', "neither a value nor a reason"),
        ('"values":[', '"values":[NaN,', "not JSON"),
        ('"status":"passed"', '"status":""', "status is empty"),
        ('"status":"passed"', '"status":7', "got `int`"),
        ('"nodeid"', '"nodeld"', "missing required field `nodeid`"),
        ('"setup"', '"setap"', "missing required field `setup`"),
    ],
)
def test_a_damaged_line_costs_itself_alone_and_is_named(tmp_path, old, new, said):
    path = in_schema_2(tmp_path, [a_record(1), a_record(2)])
    lines = path.read_text(encoding="utf-8").splitlines()
    values = {'"values":["",': lines[3].replace('"values":[0.14285714285714285,', '"values":["",')}
    lines[3] = values.get(new, lines[3].replace(old, new, 1))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    records, warnings = journal.read_records(path)
    assert records == [a_record(2)]
    assert len(warnings) == 1
    assert "records.jsonl:4: skipped a line that is no record" in warnings[0]
    assert said in warnings[0]


@pytest.mark.parametrize("at", [0, 3])
def test_schema_3_is_refused_in_a_definition_and_in_a_record(tmp_path, at):
    path = in_schema_2(tmp_path, [a_record(1)])
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[at] = lines[at].replace('"schema":2', '"schema":3')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(NewerSchema, match=rf"records\.jsonl:{at + 1}: schema 3 is newer.*\n.*upgrade"):
        journal.read_records(path)


def test_lines_that_another_program_wrote_again_are_read(tmp_path):
    path = in_schema_2(tmp_path, STRANGE)
    plain = [json.loads(line) for line in path.read_bytes().splitlines()]
    again = [dict(sorted(line.items())) | {"unknown": [1]} for line in plain]
    path.write_text("".join(json.dumps(line, indent=None) + "\n" for line in again), encoding="utf-8")
    assert journal.read_records(path) == (list(STRANGE), [])


def test_of_other_models_enough_is_glimpsed_in_both_schemas(tmp_path):
    records = [a_record(at, model="ab"[at % 2]) for at in range(4)]
    for write in (in_schema_1, in_schema_2):
        path = write(tmp_path / write.__name__, records)
        _, read, others, warnings = journal.read_of_models(path, {"a"})
        assert read == [records[0], records[2]]
        assert [(one.model, one.nodeid, one.status) for one in others] == [
            ("b", record.nodeid, "passed") for record in (records[1], records[3])
        ]
        assert warnings == []


# In memory ------------------------------------------------------------------------------------------------------------


def test_measurements_that_were_read_are_as_good_as_a_tuple(tmp_path):
    (record,) = journal.read_records(in_schema_2(tmp_path, [a_record(1, measurements=EVERY_SORT)]))[0]
    read = record.measurements
    assert isinstance(read, Measured)
    assert (len(read), tuple(read), hash(read)) == (len(EVERY_SORT), EVERY_SORT, hash(EVERY_SORT))
    assert (read[0], read[-1], read[2:5], read[::-1]) == (
        EVERY_SORT[0],
        EVERY_SORT[-1],
        EVERY_SORT[2:5],
        EVERY_SORT[::-1],
    )
    assert read == EVERY_SORT
    assert read == EVERY_SORT
    assert read != EVERY_SORT[1:]
    assert repr(read) == repr(tuple(read))
    with pytest.raises(IndexError):
        read[len(EVERY_SORT)]
    assert record.measurement("with.series") == EVERY_SORT[5]
    assert record.measurement("nothing") is None


def test_of_two_of_one_name_the_first_is_found(tmp_path):
    (record,) = journal.read_records(in_schema_2(tmp_path, [STRANGE[-1]]))[0]
    assert record.measurement("twice").value == STRANGE[-1].measurement("twice").value == 1.0


def test_a_record_may_be_changed_and_written_again(tmp_path):
    (read,) = journal.read_records(in_schema_2(tmp_path / "a", [a_record(1)]))[0]
    changed = dataclasses.replace(read, measurements=(*read.measurements, measured("more")))
    assert journal.read_records(in_schema_2(tmp_path / "b", [changed])) == ([changed], [])


def test_a_measurement_without_value_and_reason_is_refused():
    with pytest.raises(RecordError, match="neither a value nor a reason"):
        measured("nothing", None)


def test_a_glance_at_a_file_tells_the_models_of_its_definitions(tmp_path):
    book = Journal.create(tmp_path, RUN)
    for model, test in (("wan", "p0"), ("ltx", "p0"), ("wan", "p1")):
        book.append(a_record(model=model, nodeid=f"t.py::t[{model}-{test}]"))
    book.finish(RUN)
    path = book.folder / journal.RECORDS
    assert models_told(path) == {"wan", "ltx"}
    with path.open("ab") as file:
        file.write(b'{"schema":2,"define":"0123","setup":{"model":7}}\n')
    with pytest.raises(RecordError, match="not a definition: Expected `str`, got `int`"):
        models_told(path)
