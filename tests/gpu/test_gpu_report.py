"""Rows, shares of the time, what `nvidia-smi` writes, and the page; and what is kept in docs/gpu."""

from pathlib import Path

import pytest

from benchmarks.gpu import report, smi
from benchmarks.gpu.plan import SECONDS_OF_PARTS, Time
from benchmarks.gpu.report import Part, Report
from benchmarks.gpu.rows import Check, Figure, MeasuredModel, Told, compare
from pytest_vdb.records import Gpu
from pytest_vdb.results import environment

HERE = Path(__file__).parent
KEPT = sorted((HERE.parent.parent / "docs" / "gpu").glob("*.json"))


@pytest.mark.parametrize(
    ("ours", "second", "passed"),
    [
        (Told(102.0), Told(100.0), True),
        (Told(106.0), Told(100.0), False),
        (Told(1.5), Told(1.0), True),
        (Told(None, "no sensor"), Told(100.0), False),
        (Told(None, "whole_gpu_shared: MIG"), Told(100.0), None),
        (Told(100.0), Told(None, "not shown"), None),
        (Told("H100"), Told("H100"), True),
        (Told("H100"), Told("A100"), False),
    ],
)
def test_a_probe_fails_that_differs_or_is_silent_where_another_tells(ours, second, passed):
    checked = compare("it", ours, second, source="another", relative=0.05, absolute=1.0)
    assert checked.passed is passed
    assert passed is True or checked.reason or checked.difference


def test_what_a_part_leaves_of_its_time_is_there_for_those_that_follow():
    now = [0.0]
    time = Time(8.0, clock=lambda: now[0])
    assert time.left_s("models") == pytest.approx(480)
    assert sum(SECONDS_OF_PARTS.values()) <= 480
    first, second = list(SECONDS_OF_PARTS)[:2]
    before, share = time.left_s(second), time.left_s(first)
    now[0] = share
    assert time.left_s(first) == pytest.approx(0)
    assert time.left_s(second) == pytest.approx(before - share)


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A played `nvidia-smi`, whose fields are files in a folder."""
    monkeypatch.setenv("PLAYED_STATE", str(tmp_path))
    monkeypatch.setenv("PATH", str(HERE), prepend=":")
    return tmp_path


def test_a_field_that_the_driver_does_not_know_loses_itself_alone(driver):
    (driver / "power.draw").write_text("512.30\n")
    (driver / "name").write_text("NVIDIA H100 80GB\n")
    (driver / "mig.mode.current").write_text("[N/A]\n")
    found = smi.asked(("power.draw", "name", "mig.mode.current", "unheard.of"), "GPU-1")
    assert found == {
        "power.draw": "512.30",
        "name": "NVIDIA H100 80GB",
        "mig.mode.current": None,
        "unheard.of": None,
    }
    assert smi.number(found["power.draw"]) == 512.3


def test_a_process_that_is_not_shown_has_no_memory(driver):
    (driver / "apps").write_text("17, 9216\n18, [N/A]\n")
    assert [smi.memory_of_process(pid) for pid in (17, 18, 19)] == [9216, None, None]


def test_without_the_driver_nothing_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert smi.asked(("name", "uuid"), "GPU-1") == {"name": None, "uuid": None}
    with smi.Watch(("power.draw",), "GPU-1") as watch:
        pass
    assert watch.of("power.draw", 0.0, 1e9, max) is None


def a_report():
    uuid = "GPU-11111111-2222-3333-4444-555555555550"
    checks = (
        compare("UUID", Told(uuid), Told(uuid), source=smi.SOURCE),
        Check(what="a | b", ours=1.25, second=2.5, unit="s", source="another", passed=False, reason="they differ"),
        compare("no number", Told(float("nan")), Told(1.0), source="another", absolute=1.0),
    )
    model = MeasuredModel(
        model="m", recipe={"steps": 50}, steps=10, step_s=1.9, published_s=95.36, reason="10 of 50 steps"
    )
    return Report(
        rehearsal=False,
        card="NVIDIA H100 80GB HBM3",
        date="2026-11-30",
        minutes=8.0,
        seconds=412.0,
        environment=environment.capture("cpu"),
        parts=(
            Part(name="probes", seconds=1.0, checks=checks),
            Part(
                name="models", seconds=2.0, models=(model,), figures=(Figure(what="f", value=0.5),), failed="OOM: full"
            ),
        ),
    )


def test_what_is_kept_can_be_read_again_and_names_what_failed(tmp_path):
    made = report.private(a_report())
    paths = report.write(made, tmp_path)
    assert [path.name for path in paths] == [f"nvidia-h100-80gb-hbm3-2026-11-30.{end}" for end in ("json", "md")]
    assert report.read(paths[0]) == made
    assert made.failed == ("probes: a | b", "probes: no number", "models: OOM: full")
    assert (made.parts[0].checks[2].ours, made.parts[0].checks[2].passed) == (None, False)
    text = paths[1].read_text()
    assert "10 of 50" in text
    assert "| latency s | – |" in text
    assert "a \\| b" in text
    again = report.write(made, tmp_path)
    assert again[0].name == "nvidia-h100-80gb-hbm3-2026-11-30-2.json"


def test_no_uuid_is_kept_and_two_are_still_told_apart(tmp_path):
    import dataclasses

    plain = a_report()
    cards = (Gpu(name="H100", uuid="GPU-11111111-2222-3333-4444-555555555550", memory_mib=81559),)
    made = report.private(dataclasses.replace(plain, environment=dataclasses.replace(plain.environment, gpus=cards)))
    written = report.write(made, tmp_path)[0].read_text()
    assert "11111111-2222" not in written
    assert made.parts[0].checks[0].ours == "…5550"
    assert made.environment.gpus[0].memory_mib == 81559


def test_what_lies_in_the_folder_of_results_is_a_result_with_its_page():
    for path in KEPT:
        found = report.read(path)
        assert not found.rehearsal, path
        assert report.page(found) == path.with_suffix(".md").read_text(encoding="utf-8")
