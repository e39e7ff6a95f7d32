"""What a person sees on a terminal while tests run: lines below pytest's own, and nothing of them in the end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
from dataclasses import replace

import pytest

from pytest_vdb.plugin.live_lines import LiveLines, PlainLines
from pytest_vdb.plugin.progress import kind_of_test, line_of, told_seconds
from pytest_vdb.records import Recipe, Record

pyte = pytest.importorskip("pyte")

SLOW = """
    import time
    import numpy as np
    from pytest_vdb import Clip, model

    class Scheduler:
        timesteps = range(8)
        def step(self):
            time.sleep(0.25)

    class Slow:
        def __init__(self):
            self.pipeline = type("Pipeline", (), {"scheduler": Scheduler()})()

        def generate(self, prompt, recipe, seed):
            for _ in self.pipeline.scheduler.timesteps:
                self.pipeline.scheduler.step()
            rng = np.random.default_rng(seed)
            return Clip(rng.integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)

    class Other(Slow):
        pass

    for name, of in (("slow", Slow), ("other", Other)):
        model(name, frames=4, height=16, width=16, fps=8.0, warm_up=False)(of)
"""


def screens(*words: str, columns: int = 100, lines: int = 20) -> list[list[str]]:
    """What a terminal shows while a command runs, a screen for each time that it wrote; the last is the end."""
    screen = pyte.Screen(columns, lines)
    stream = pyte.ByteStream(screen)
    child, terminal = pty.fork()
    if child == 0:
        os.environ |= {"TERM": "xterm", "COLUMNS": str(columns)}
        os.execv(sys.executable, [sys.executable, *words])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    seen = []
    with contextlib.suppress(OSError):  # Linux says so where the other side has closed
        while select.select([terminal], [], [], 60)[0] and (told := os.read(terminal, 1 << 16)):
            stream.feed(told)
            seen.append([line.rstrip() for line in screen.display if line.strip()])
    os.close(terminal)
    os.waitpid(child, 0)
    return seen


@pytest.fixture
def night(project, monkeypatch):
    """The words of a session of two slow models; `-p no:randomly` keeps the order of what is seen."""
    project.pytester.makeconftest(SLOW)
    monkeypatch.chdir(project.path)
    return [
        *("-m", "pytest", "test_generation.py", "-p", "no:randomly", "-p", "no:cacheprovider"),
        *("--vdb-prompts=smoke:1", "--vdb-metrics=sharpness", "--vdb-cache=never"),
    ]


@pytest.mark.slow
def test_steps_and_time_are_shown_below_the_dots_and_gone_in_the_end(night):
    seen = screens(*night, "--vdb-models=slow", "--vdb-prompts=smoke:2")
    live = [screen for screen in seen if any("s/step" in line for line in screen)]
    assert live
    for screen in live:
        (at,) = (at for at, line in enumerate(screen) if "s/step" in line)
        assert screen[at - 1].startswith("test_generation.py")
        assert "slow p0" in screen[at]
        assert re.search(r"of 8, 0\.\d+ s/step, ", screen[at])  # 0.25 and what the machine is late
        assert screen[at + 1].startswith("vdb: ")
        assert "of 2 tests" in screen[at + 1]
    assert any("1 of 2 tests, about" in line for screen in live for line in screen)
    assert not any("s/step" in line or "of 2 tests" in line for line in seen[-1])
    assert any(line.startswith("test_generation.py ..") for line in seen[-1])


@pytest.mark.slow
def test_workers_have_a_line_each(night):
    seen = screens(*night, "--vdb-models=slow,other", "-n2", lines=30)
    both = [screen for screen in seen if sum("s/step" in line for line in screen) == 2]
    assert both
    (first, second) = (line for line in both[-1] if "s/step" in line)
    assert first.startswith("gw0 ")
    assert second.startswith("gw1 ")
    assert "2 workers [2 items]" in both[-1]
    assert not any("s/step" in line for line in seen[-1])


@pytest.mark.slow
@pytest.mark.parametrize("how", [["--vdb-progress=off"], ["-s"], ["-q"]])
def test_who_does_not_want_it_or_would_be_disturbed_sees_nothing(night, how):
    seen = screens(*night, "--vdb-models=slow", *how)
    assert not any("s/step" in line for screen in seen for line in screen)


@pytest.mark.slow
def test_a_log_has_nothing_of_it(project, night):
    result = project.pytester.runpytest_subprocess(*night[2:], "--vdb-models=slow")
    assert "s/step" not in result.stdout.str()
    assert "\x1b" not in result.stdout.str()


@pytest.fixture
def drawn():
    """Lines on a screen of 40 x 6, whose cursor stands behind some dots in the last line but one."""
    out, into = os.pipe()
    screen = pyte.Screen(40, 6)
    stream = pyte.ByteStream(screen)
    stream.feed(b"\r\n" * 4 + b"test.py ..")

    def look() -> list[str]:
        os.set_blocking(out, False)
        with contextlib.suppress(BlockingIOError):
            stream.feed(os.read(out, 1 << 16))
        return [line.rstrip() for line in screen.display]

    def write(text: bytes) -> None:
        look()
        stream.feed(text)

    lines = LiveLines(into)
    yield lines, look, write
    lines.close()
    os.close(out)


def test_lines_make_room_where_the_screen_ends_and_the_dots_go_on_where_they_were(drawn):
    lines, look, write = drawn
    lines.show(["a: step 1", "b: step 1", "vdb: 0 of 2"])
    assert look()[2:] == ["test.py ..", "a: step 1", "b: step 1", "vdb: 0 of 2"]
    lines.show(["a: step 2"])
    assert look()[2:] == ["test.py ..", "a: step 2", "", ""]
    lines.show([])
    lines.show([])
    with lines.aside():
        assert look()[2:] == ["test.py ..", "", "", ""]
        write(b".\r\nnext.py ")
    lines.show(["a: step 3"])
    assert look()[2:] == ["test.py ...", "next.py", "a: step 3", ""]


def test_what_is_too_long_or_too_many_is_cut(drawn, monkeypatch):
    lines, look, _ = drawn
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((40, 6)))
    lines.show(["x" * 200, *"abcdefgh"])
    assert look()[1:] == ["test.py ..", "x" * 39, "a", "b", "c"]
    lines.show(["short"])
    assert look()[1:] == ["test.py ..", "short", "", "", ""]


def test_a_closed_terminal_is_no_error():
    out, into = os.pipe()
    os.close(out)
    lines = LiveLines(into)
    lines.show(["a"])
    lines.show(["b"])
    lines.close()
    lines.close()


def test_a_log_gets_a_line_when_it_is_time():
    out, into = os.pipe()
    lines = PlainLines(into, period_s=0.0)
    with lines.aside():
        lines.show(["a: step 1"])
    lines.show([])
    lines.close()
    lines.close()
    assert os.read(out, 1 << 16) == b"\na: step 1\n"
    os.close(out)


def test_a_line_tells_what_is_known():
    doing = {
        "work": "generates",
        "model": "wan\x1b[2J",
        "prompt": "p003",
        "seconds": 150.0,
        "step": 12,
        "steps": 50,
        "step_s": 1.31,
        "memory_mib": 14541.0,
        "power_w": 412.4,
    }
    assert line_of("gw0", doing) == "gw0 wan\\x1b[2J p003: step 12 of 50, 1.3 s/step, 14.2 GiB, 412 W"
    unknown = {"step": 0, "steps": None, "step_s": None, "memory_mib": None, "power_w": None}
    assert line_of("", doing | unknown | {"work": "loads", "prompt": None, "model": "wan"}) == "wan: loads, 2 min"


def test_time_is_told_as_people_say_it():
    assert [told_seconds(seconds) for seconds in (40, 720, 12_600)] == ["40 s", "12 min", "3.5 h"]


def test_what_a_recipe_took_before_says_nothing_of_another():
    blank = Record(run="before", nodeid="", benchmark="b", model="m", status="passed")
    few, same, many = (
        replace(blank, run=run, recipe_digest=Recipe(steps=steps).digest())
        for run, steps in (("before", 4), ("now", 4), ("now", 50))
    )
    assert kind_of_test("b", few) == kind_of_test("b", same)
    assert len({kind_of_test("b", few), kind_of_test("b", many), kind_of_test("a", few)}) == 3
