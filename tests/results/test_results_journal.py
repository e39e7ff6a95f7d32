import dataclasses
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_vdb import files
from pytest_vdb.errors import NewerSchema, OutputError, RecordError
from pytest_vdb.records import Environment, Measurement, Record, Run, to_json
from pytest_vdb.results import journal
from pytest_vdb.results.journal import Journal

HERE = Environment(python="3.11", platform="test", hardware="cpu", cpu="cpu", cpu_count=1, memory_mib=1)


def a_run(name="20261122-041530-a1b2c3"):
    return Run(id=name, started_at="2026-11-22T04:15:30+00:00", environment=HERE)


def a_record(number):
    measured = Measurement(name="latency", value=0.5 + number, unit="s", better="lower", kind="performance")
    return Record(
        run=a_run().id,
        nodeid=f"t.py::t[m-{number}]",
        benchmark="t",
        model="m",
        status="passed",
        prompt=f"日{number}",
        measurements=(measured,),
    )


def written(tmp_path, count=3):
    book = Journal.create(tmp_path, a_run())
    for number in range(count):
        book.append(a_record(number))
    return book


@pytest.mark.parametrize("given", ["", "run.json", "records.jsonl"])
def test_what_was_appended_is_read_back_from_any_of_its_paths(tmp_path, given):
    book = written(tmp_path)
    run, records, warnings = journal.read(book.folder / given)
    assert (run, records, warnings) == (a_run(), [a_record(0), a_record(1), a_record(2)], [])


def test_lines_in_full_need_no_other_and_are_replaced_like_any(tmp_path):
    book = Journal.create(tmp_path, a_run(), in_full=True)
    book.append(a_record(0))
    book.append_all([a_record(1), a_record(2)])
    torn_down = dataclasses.replace(a_record(1), status="failed")
    book.replace(a_record(1), torn_down)
    path = book.folder / "records.jsonl"
    assert path.read_text(encoding="utf-8") == "".join(
        to_json(record) + "\n" for record in (a_record(0), torn_down, a_record(2))
    )
    assert journal.read_records(path) == ([a_record(0), torn_down, a_record(2)], [])


def test_a_record_is_on_disk_when_append_returns(tmp_path):
    book = written(tmp_path, count=1)
    assert journal.read_records(book.folder / "records.jsonl") == ([a_record(0)], [])
    assert (book.folder / "records.jsonl").read_bytes().endswith(b"\n")


def test_a_record_takes_the_place_of_another_and_the_next_follows_it(tmp_path):
    book = written(tmp_path)
    torn_down = dataclasses.replace(a_record(1), status="failed")
    book.replace(a_record(1), torn_down)
    book.append(a_record(3))
    _, records, warnings = journal.read(book.folder)
    assert (records, warnings) == ([a_record(0), torn_down, a_record(2), a_record(3)], [])
    book.finish(a_run())


def test_finishing_replaces_the_summary_of_the_run(tmp_path):
    book = written(tmp_path)
    book.finish(Run(**{**vars_of(a_run()), "exit_status": 1, "summary": {"tests": 3}}))
    run, _, _ = journal.read(book.folder)
    assert (run.exit_status, run.summary) == (1, {"tests": 3})
    assert sorted(path.name for path in book.folder.iterdir()) == ["records.jsonl", "run.json"]


def vars_of(run):
    return {name: getattr(run, name) for name in run.__slots__}


@pytest.mark.parametrize("kept", [1, 40, -2])
def test_a_torn_last_line_is_read_up_to_it(tmp_path, kept):
    book = written(tmp_path)
    lines = (book.folder / "records.jsonl").read_bytes().splitlines(keepends=True)
    (book.folder / "records.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:kept])
    _, records, warnings = journal.read(book.folder)
    assert records == [a_record(0), a_record(1)]
    assert len(warnings) == 1
    assert "records.jsonl:8: the last line is torn" in warnings[0]


def test_a_whole_last_line_needs_no_line_break(tmp_path):
    book = written(tmp_path)
    path = book.folder / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    assert journal.read(book.folder)[1:] == ([a_record(0), a_record(1), a_record(2)], [])


@pytest.mark.parametrize("garbage", [b"garbage", b"\xff\xfe\x00", b"{}", b"[" * 100_000, b'{"run": 1}', b"null"])
def test_garbage_in_the_middle_is_named_and_costs_no_other_record(tmp_path, garbage):
    book = written(tmp_path)
    lines = (book.folder / "records.jsonl").read_bytes().splitlines()
    (book.folder / "records.jsonl").write_bytes(b"\n".join([lines[0], garbage, *lines[1:], b""]))
    _, records, warnings = journal.read(book.folder)
    assert len(records) == 3
    assert len(warnings) == 1
    assert "records.jsonl:2: skipped a line that is no record" in warnings[0]


def test_a_record_of_a_newer_schema_is_refused_not_skipped(tmp_path):
    book = written(tmp_path)
    with (book.folder / "records.jsonl").open("a") as file:
        file.write('{"schema": 99}\n')
    with pytest.raises(NewerSchema, match=r"records\.jsonl:9: schema 99 is newer"):
        journal.read(book.folder)


def test_a_run_of_a_newer_schema_is_refused_though_records_may_have_it(tmp_path):
    path = written(tmp_path).folder / "run.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"schema":1', '"schema":2'), encoding="utf-8")
    with pytest.raises(NewerSchema, match=r"run\.json: schema 2 is newer"):
        journal.read(path)


def test_a_folder_without_a_run_is_said(tmp_path):
    with pytest.raises(RecordError, match=r"there is no run\.json here"):
        journal.read(tmp_path)


def test_a_run_that_recorded_nothing_is_read_with_a_warning(tmp_path):
    book = Journal.create(tmp_path, a_run())
    (book.folder / "records.jsonl").unlink()
    assert "no records" in journal.read(book.folder)[2][0]


def test_a_run_is_never_written_over(tmp_path):
    written(tmp_path)
    with pytest.raises(OutputError, match="has records already"):
        Journal.create(tmp_path, a_run())


def test_a_disk_that_fills_half_way_leaves_a_file_that_reads_to_its_end(tmp_path):
    script = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_results_journal import *
book = Journal.create(__import__("pathlib").Path({str(tmp_path)!r}), a_run())
book.append(a_record(0))
size = (book.folder / "records.jsonl").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, resource.RLIM_INFINITY))
try:
    book.append(a_record(1))
except OutputError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
book.append(a_record(2))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "records.jsonl: cannot be written: File too large" in done.stdout
    _, records, warnings = journal.read(tmp_path / "runs" / a_run().id)
    assert records == [a_record(0), a_record(2)]
    assert warnings == []


def test_a_killed_process_loses_no_finished_record(tmp_path):
    script = f"""
import sys, itertools, pathlib
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_results_journal import *
book = Journal.create(pathlib.Path({str(tmp_path)!r}), a_run())
for number in itertools.count():
    book.append(a_record(number))
    print(number, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    for _ in range(50):
        process.stdout.readline()
    time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    reported = [int(line) for line in process.stdout.read().split()]
    process.wait()
    _, records, _ = journal.read(tmp_path / "runs" / a_run().id)
    assert len(records) >= max(reported, default=49) + 1
    assert records == [a_record(number) for number in range(len(records))]


@pytest.mark.parametrize("how", ["removed", "moved", "replaced"])
def test_records_that_are_not_in_their_place_any_more_are_a_loud_failure(tmp_path, how):
    book = written(tmp_path)
    folder = book.folder
    if how == "removed":
        shutil.rmtree(tmp_path / "runs")
    else:
        (tmp_path / "runs").rename(tmp_path / "other")
    if how == "replaced":
        folder.mkdir(parents=True)
        (folder / "records.jsonl").write_text("")
    for act in (
        lambda: book.append(a_record(3)),
        lambda: book.replace(a_record(0), a_record(3)),
        lambda: book.finish(a_run()),
    ):
        with pytest.raises(OutputError, match=r"records\.jsonl: the run's records were removed or moved"):
            act()
    if how != "removed":
        assert len(journal.read(tmp_path / "other" / a_run().id)[1]) == 4


def test_a_line_in_which_an_older_session_died_does_not_swallow_the_next(tmp_path):
    path = tmp_path / "a.jsonl"
    files.append(path, to_json(a_record(0)).encode())
    path.write_bytes(path.read_bytes() + b'{"run": "half')
    files.append(path, to_json(a_record(1)).encode())
    records, warnings = journal.read_records(path)
    assert records == [a_record(0), a_record(1)]
    assert [line.partition(": ")[0] for line in warnings] == [f"{path}:2"]


def test_processes_that_append_to_one_file_lose_nothing(tmp_path):
    """Lines that are longer than a pipe or a page, from three processes at once."""
    script = f"""
import sys
from pathlib import Path
from pytest_vdb import files
for number in range(40):
    files.append(Path({str(tmp_path / "a.jsonl")!r}), b'"' + sys.argv[1].encode() * 20_000 + b'"')
"""
    processes = [subprocess.Popen([sys.executable, "-c", script, name]) for name in "abc"]
    assert [process.wait() for process in processes] == [0, 0, 0]
    lines = (tmp_path / "a.jsonl").read_bytes().split(b"\n")
    assert sorted(lines[:-1]) == sorted(b'"' + name * 20_000 + b'"' for name in (b"a", b"b", b"c") for _ in range(40))


def of_two_models(tmp_path):
    book = Journal.create(tmp_path, a_run())
    for number in range(4):
        book.append(dataclasses.replace(a_record(number), model="ab"[number % 2]))
    return book


def test_the_records_of_other_models_are_only_glimpsed(tmp_path):
    book = of_two_models(tmp_path)
    run, records, others, warnings = journal.read_of_models(book.folder, {"a"})
    assert [record.prompt for record in records] == ["日0", "日2"]
    assert [(other.model, other.nodeid) for other in others] == [("b", "t.py::t[m-1]"), ("b", "t.py::t[m-3]")]
    assert (run, warnings) == (a_run(), [])


@pytest.mark.parametrize("line", ['{"model": "b", "nodeid"', '{"model": "b"}', "[]"])
def test_a_bad_line_of_another_model_is_said_all_the_same(tmp_path, line):
    book = of_two_models(tmp_path)
    path = book.folder / "records.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    _, records, others, warnings = journal.read_of_models(book.folder, {"a"})
    assert (len(records), len(others), len(warnings)) == (2, 2, 1)


def test_a_newer_schema_of_another_model_is_refused_all_the_same(tmp_path):
    book = of_two_models(tmp_path)
    path = book.folder / "records.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace('"schema":2', '"schema":99'), encoding="utf-8")
    with pytest.raises(NewerSchema):
        journal.read_of_models(book.folder, {"a"})
