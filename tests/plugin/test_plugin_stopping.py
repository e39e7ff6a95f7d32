"""Whatever stops a session, its records are kept, `run.json` and the reports are written, and no worker lives on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

pytestmark = pytest.mark.slow  # sessions in processes of their own, most of them with workers

SLOW = """
    import numpy as np, time
    from pathlib import Path
    from pytest_vdb import Clip, model

    @model("slow", frames=4, height=16, width=16, fps=8.0)
    def slow(prompt, recipe, seed):
        if prompt.text != "one":
            (Path(__file__).parent / f"began-{prompt.text}").touch()
            time.sleep(60)
        return Clip(np.random.default_rng(seed).integers(0, 256, (4, 16, 16, 3), np.uint8), recipe.fps)
"""


@pytest.fixture
def stopped(project):
    """Stops a session in its second test, in the way that is asked for; gives its output and the seconds it took."""
    project.pytester.makeconftest(SLOW)

    def stop(number, *arguments, whole_group=False):
        command = [sys.executable, "-m", "pytest", *project.arguments("slow", "--vdb-metrics=none"), *arguments]
        command.remove("--vdb-report=none")
        session = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=project.path)
        until = time.monotonic() + 60
        while not list(project.path.glob("began-*")) and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.3)
        children = psutil.Process(session.pid).children(recursive=True)
        began = time.monotonic()
        os.killpg(session.pid, number) if whole_group else session.send_signal(number)
        said, _ = session.communicate(timeout=60)
        took = time.monotonic() - began
        _, alive = psutil.wait_procs(children, timeout=0.2)
        assert not alive
        return said, took, session.returncode

    return stop


@pytest.mark.parametrize("whole_group", [False, True], ids=["session", "group"])
@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_session_that_is_stopped_ends_as_interrupted(project, stopped, number, workers, whole_group):
    said, took, status = stopped(number, *workers, whole_group=whole_group)
    assert status == pytest.ExitCode.INTERRUPTED, said
    assert took < 10  # with its reports
    run, records = project.read()
    by_prompt = {record.prompt_text: record.status for record in records}
    assert by_prompt["one"] == "passed"
    assert set(by_prompt.values()) == {"passed", "interrupted"}
    assert run.finished_at is not None
    assert run.exit_status == pytest.ExitCode.INTERRUPTED
    assert (run.collected, run.summary["collected"]) == (3, 3)
    assert (project.path / "reports" / "leaderboard.html").exists()
    assert "failed" not in said.splitlines()[-1]


def test_a_session_without_benchmarks_keeps_its_signals(pytester):
    pytester.makepyfile(
        "import signal\n\ndef test_it():\n    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n"
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=1)
