"""A record's outcome is the one that pytest ends with, whatever decides it after the test's own report was made."""

from __future__ import annotations

import pytest

from pytest_vdb.results import journal

pytestmark = pytest.mark.slow  # sessions in processes of their own, most of them with workers

BODY = """
    sample = vdb.generate(vdb_model, vdb_prompt, vdb_seed)
    vdb.measure(sample)
"""


def outcomes(project, source, *arguments):
    """What pytest counted, and the records' statuses."""
    project.pytester.makepyfile(test_generation=source)
    result = project.run_in_subprocess("good", "--vdb-prompts=one.txt", *arguments)
    return result.parseoutcomes(), project.records()


@pytest.fixture
def project(project):
    (project.path / "one.txt").write_text("one\n")
    return project


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest 8 has no subtests of its own")
def test_a_failed_subtest_is_a_failed_test(project):
    counted, records = outcomes(
        project,
        f"""
def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed, subtests):
    {BODY.strip()}
    with subtests.test("sharp enough"):
        assert sample.clip.fps == 9
""",
    )
    assert counted["failed"] == 2  # pytest counts the subtest and its test
    (record,) = records
    assert record.status == "failed"
    assert "contains 1 failed subtest" in record.failure.message
    assert "sample.clip.fps" in record.failure.message or "assert 8.0 == 9" in record.failure.message
    assert record.measurement("brightness").value is not None


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_an_expected_failure_is_shown_as_that(project, workers):
    counted, records = outcomes(
        project,
        f"""
import pytest

@pytest.mark.xfail(reason="fp16 overflows")
def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
    {BODY.strip()}
    assert sample.clip.fps == 9
""",
        *workers,
    )
    assert counted == {"xfailed": 1}
    assert [record.status for record in records] == ["xfailed"]
    assert records[0].failure.message.startswith("fp16 overflows (")


@pytest.mark.parametrize(("strict", "status"), [(False, "passed"), (True, "failed")])
def test_an_unexpected_pass_is_what_its_mark_makes_of_it(project, strict, status):
    _, records = outcomes(
        project,
        f"""
import pytest

@pytest.mark.xfail(reason="fp16 overflows", strict={strict})
def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
    {BODY.strip()}
""",
    )
    assert [record.status for record in records] == [status]
    said = " ".join(records[0].notes) if status == "passed" else records[0].failure.message
    assert "fp16 overflows" in said


@pytest.mark.parametrize("mark", ["skip(reason='later')", "skipif(True, reason='later')"])
@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_skipped_benchmark_has_a_record(project, mark, workers):
    counted, records = outcomes(
        project,
        f"""
import pytest

@pytest.mark.{mark}
def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
    {BODY.strip()}
""",
        *workers,
    )
    assert counted == {"skipped": 1}
    assert [(record.status, record.failure.message) for record in records] == [("skipped", "later")]
    assert records[0].model == "good"
    assert records[0].prompt_text == "one"
    assert records[0].seed is not None


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_fixture_that_fails_before_ours_leaves_a_record(project, workers):
    counted, records = outcomes(
        project,
        f"""
import pytest

@pytest.fixture
def disk():
    raise OSError("no scratch space")

def test_generation(disk, vdb, vdb_model, vdb_prompt, vdb_seed):
    {BODY.strip()}
""",
        *workers,
    )
    assert counted == {"errors": 1}
    assert [record.status for record in records] == ["failed"]
    assert "no scratch space" in records[0].failure.message


def test_a_failing_teardown_is_a_failed_test(project):
    _, records = outcomes(
        project,
        f"""
import pytest

@pytest.fixture
def scratch():
    yield
    raise OSError("cannot be emptied")

def test_generation(scratch, vdb, vdb_model, vdb_prompt, vdb_seed):
    {BODY.strip()}
""",
    )
    assert [record.status for record in records] == ["failed"]
    assert "cannot be emptied" in records[0].failure.message
    assert records[0].measurement("brightness").value is not None


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
def test_what_is_printed_as_passed_is_on_the_disk_already(project, workers):
    """A session that is killed between the two would have lost what its user saw."""
    conftest = project.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + """
import pytest
from pathlib import Path

def pytest_configure(config):
    global here
    here = not hasattr(config, "workerinput")

def pytest_runtest_logreport(report):
    if report.when == "call" and here:
        kept = [line for path in Path("reports").glob("runs/*/records.jsonl") for line in path.read_text().splitlines()]
        Path("kept.txt").write_text("\\n".join(kept))
"""
    )
    test = f"def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):{BODY}"
    _, records = outcomes(project, test, *workers)
    assert journal.read_records(project.path / "kept.txt") == (records, [])
    assert [record.status for record in records] == ["passed"]


def test_a_worker_that_dies_in_a_teardown_leaves_one_record(project):
    _, records = outcomes(
        project,
        f"""
import os
import pytest

@pytest.fixture
def scratch():
    yield
    os._exit(3)

def test_generation(scratch, vdb, vdb_model, vdb_prompt, vdb_seed):{BODY}
""",
        "-n1",
    )
    (record,) = records
    assert record.status == "crashed"
    assert record.measurement("brightness").value is not None


def test_a_plugin_that_edits_a_report_decides(project):
    (project.path / "conftest.py").open("a").write(
        "\n\nimport pytest\n\n@pytest.hookimpl(trylast=True)\ndef pytest_runtest_logreport(report):\n"
        "    if report.when == 'call':\n        report.outcome, report.longrepr = 'failed', 'too slow for us'\n"
    )
    _, records = outcomes(project, f"def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):\n    {BODY.strip()}\n")
    assert [(record.status, record.failure.message) for record in records] == [("failed", "too slow for us")]


FLAKY = f"""
from pathlib import Path

def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
    {BODY.strip()}
    tried = Path(__file__).with_name("tried")
    if not tried.exists():
        tried.touch()
        raise OSError("the first try")
"""


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_test_that_is_tried_again_says_so_and_keeps_what_loading_cost(project, workers):
    pytest.importorskip("pytest_rerunfailures")
    counted, records = outcomes(project, FLAKY, "--reruns=1", *workers)
    assert (counted["passed"], counted["rerun"]) == (1, 1)
    (record,) = records
    assert (record.status, record.attempts) == ("passed", 2)
    assert record.measurement("load_time") is not None


def test_a_repeated_test_has_a_record_each_time_and_no_parameters(project):
    pytest.importorskip("pytest_repeat")
    counted, records = outcomes(project, FLAKY, "--count=2")
    assert (counted["passed"], counted["failed"]) == (1, 1)
    assert sorted(record.status for record in records) == ["failed", "passed"]
    assert {str(record.parameters) for record in records} == {"{}"}


def test_a_timeout_is_a_failed_test(project):
    _, records = outcomes(
        project, "import time\n\ndef test_generation(vdb, vdb_model, vdb_prompt):\n    time.sleep(60)\n", "--timeout=1"
    )
    assert [record.status for record in records] == ["failed"]
    assert "Timeout" in records[0].failure.message


def test_several_samples_in_one_test_are_refused(project):
    _, records = outcomes(
        project,
        """
def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
    for seed in (vdb_seed, vdb_seed + 1):
        vdb.measure(vdb.generate(vdb_model, vdb_prompt, seed))
""",
    )
    assert [record.status for record in records] == ["failed"]
    assert "already measured" in records[0].failure.message
    assert "--vdb-samples" in records[0].failure.message


def test_the_best_of_three_is_recorded_under_its_own_seed(project):
    _, records = outcomes(
        project,
        """
def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
    samples = [vdb.generate(vdb_model, vdb_prompt, seed) for seed in (41, 42, 43)]
    vdb.measure(max(samples, key=lambda sample: sample.seed == 42))
""",
    )
    (record,) = records
    assert record.status == "passed"
    assert record.seed == 42
    assert record.notes == ("one of 3 clips of this test, of the seeds 41, 42, 43",)


def test_a_users_own_parameters_are_part_of_the_identity(project):
    _, records = outcomes(
        project,
        f"""
import pytest

class TestQuality:
    @pytest.mark.parametrize("strength", [0.1, 0.9])
    @pytest.mark.parametrize("way", [object(), object()])
    def test_generation(self, vdb, vdb_model, vdb_prompt, vdb_seed, strength, way):
        {BODY.strip().replace(chr(10), chr(10) + "    ")}
""",
    )
    assert {record.benchmark for record in records} == {"test_generation.py::TestQuality::test_generation"}
    found = sorted((record.parameters["strength"], record.parameters["way"]) for record in records)
    assert found == [("0.1", "way0"), ("0.1", "way1"), ("0.9", "way0"), ("0.9", "way1")]


def test_a_worker_that_dies_in_a_test_with_a_parameter_leaves_its_record(project):
    _, records = outcomes(
        project,
        """
import os
import pytest

@pytest.mark.parametrize("strength", [0.1, 0.9])
def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed, strength):
    if strength == 0.9:
        os._exit(3)
""",
        "-n1",
    )
    assert {record.parameters["strength"]: record.status for record in records} == {"0.1": "passed", "0.9": "crashed"}
