"""Hostile names and texts everywhere: nothing leaves its folder, runs, is asked for, or is obeyed by a terminal."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Ended, Place, runs_of
from hostility import HOSTILE, MARK, check_pages, check_reports, check_screen, hidden_in
from projects import GENERATION

from pytest_vdb import video
from pytest_vdb.cli import main
from pytest_vdb.records import Clip, ClipFiles, Environment, Failure, Measurement, Record, Run, to_plain

CONFTEST = """
import json
from pathlib import Path

import numpy as np
from pytest_vdb import Clip, metric, model
from pytest_vdb.errors import VdbError

HERE = Path(__file__).parent
REFUSED = []


def named(number, name):
    class Hostile:
        def generate(self, prompt, recipe, seed):
            if number % 3 == 2:
                raise RuntimeError(f"{prompt.text} / {name}")
            rng = np.random.default_rng(seed)
            return Clip(rng.integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)

    def spread(clip: Clip) -> float:
        return float(clip.frames.std())

    Hostile.__doc__ = spread.__doc__ = name.replace(chr(0), "") or "x"
    for what, tag in (
        (Hostile, lambda: model(name, frames=8, height=32, width=32, fps=8.0)),
        (spread, lambda: metric(name if number % 2 else f"metric{number}", unit=name, better="higher")),
    ):
        try:
            globals()[f"{what.__name__}{number}"] = tag()(what)
        except VdbError as error:
            REFUSED.append(str(error))


for _number, _name in enumerate(json.loads((HERE / "names.json").read_text())):
    named(_number, _name)
(HERE / "refused.json").write_text(json.dumps(REFUSED))
"""

NOTES = "    vdb.note(vdb_prompt.text)\n    vdb.note(vdb_model.name)\n"
NOTING = GENERATION.replace("    sample =", f"{NOTES}    sample =", 1)


@pytest.fixture
def deep(place: Place) -> Iterator[Place]:
    """A project some folders down; afterwards nothing lies outside of it, or is called by a name of a stranger."""
    around = place.folder.parent
    inner = place.at(place.folder / "deep" / "er").knows(
        VDB_CACHE_DIR=str(place.folder / "deep" / "er" / "cache"), GITHUB_STEP_SUMMARY=str(around / "summary.md")
    )
    yield inner
    outside = [path for path in around.rglob("*") if path.is_file() and not path.is_relative_to(inner.folder)]
    assert {path.name for path in outside} <= {"summary.md"}
    assert not [path for path in Path("/tmp").iterdir() if MARK in path.name]
    written = [path for folder in inner.folder.glob("*reports*") for path in folder.rglob("*")]
    assert all(re.fullmatch(r"[\w.+~-]+", path.name) for path in written)
    assert len({str(path).lower() for path in written}) == len(written), "two files differ by case alone"
    if (around / "summary.md").exists():
        assert hidden_in((around / "summary.md").read_text(encoding="utf-8")) <= {"U+200C"}


def check_ended(ended: Ended) -> Ended:
    check_screen(ended.out)
    check_screen(ended.err)
    return ended


def write_suite(place: Place, name: str, texts: tuple[str, ...]) -> None:
    rows = [
        {"id": f"{text}{at}", "text": f"{text} text", "category": text, "negative": text}
        for at, text in enumerate(texts)
    ]
    place.writes(name, "".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.slow
@pytest.mark.rounds(short=1, long=1)
def test_hostile_prompts_are_shown_and_obeyed_by_nobody(deep: Place):
    deep.writes("test_bench.py", NOTING)
    deep.writes("pytest.ini", "[pytest]\n")
    write_suite(deep, "p.jsonl", HOSTILE)
    check_ended(deep.runs("vdb", "prompts", "p.jsonl")).ends(0)
    small = (f"--vdb-recipe={setting}" for setting in ("frames=4", "height=32", "width=32"))
    models = ("--vdb-models=calibration-shapes", "--vdb-weights=tiny", *small)
    command = ("pytest", "-v", "--color=no", *models, "--vdb-prompts=p.jsonl", "--vdb-metrics=sharpness")
    check_ended(deep.runs(*command, "--junitxml=junit.xml")).ends(0)
    check_reports(deep.folder / "reports")


@pytest.mark.slow
@pytest.mark.rounds(short=0, long=1)
def test_hostile_models_and_metrics_are_refused_or_shown(deep: Place):
    deep.writes("conftest.py", CONFTEST)
    deep.writes("test_bench.py", NOTING)
    deep.writes("pytest.ini", "[pytest]\n")
    deep.writes("names.json", json.dumps(HOSTILE))
    write_suite(deep, "two.jsonl", tuple(text for text in HOSTILE if "<script>" in text or "\x1b" in text))
    chosen = (f"--vdb-models=*{MARK}*,CON,A,a,aux*", f"--vdb-metrics=metric*,*{MARK}*", "--vdb-weights=tiny")
    check_ended(deep.runs("pytest", "-v", "--color=no", *chosen, "--vdb-prompts=two.jsonl")).ends(1)
    refused = json.loads((deep.folder / "refused.json").read_text())
    assert 0 < len(refused) < 2 * len(HOSTILE)
    assert not any(hidden_in(said) for said in refused)
    check_reports(deep.folder / "reports")
    check_pages(deep.folder / "reports")


@pytest.mark.slow
@pytest.mark.rounds(short=0, long=1)
def test_clips_with_hostile_file_names_are_scored_and_shown(deep: Place):
    clips = deep.folder / "clips"
    rng = np.random.default_rng(0)
    good = clips / "good.mkv"
    video.write_lossless(Clip(rng.integers(0, 256, (8, 32, 32, 3), np.uint8), 8.0), good)
    for name in HOSTILE:
        spelled = name.replace("\0", "").replace("/", "\u2215").encode()[:200].decode("utf-8", "ignore")
        clip = Clip(rng.integers(0, 256, (8, 32, 32, 3), np.uint8), 8.0)
        video.write_lossless(clip, clips / "next.mkv")
        (clips / "next.mkv").rename(clips / f"{spelled}.mkv")
    for name, data in (("bad\x1b[31m.mp4", b"no video"), ("bad\u202e::error::.mp4", b"")):
        (clips / name).write_bytes(data)
    shutil.copy(good, clips / os.fsdecode(b"latin\xe9\xff.mkv"))
    score = ("vdb", "score", "clips", "--metrics", "sharpness", "--model", f"\x1b[31m{MARK}<script>x</script>")
    said = check_ended(deep.runs(*score)).ends(1)
    assert "2 failed" in said.err
    check_ended(deep.runs("vdb", "report", "reports/scores/clips.jsonl", "-o", "scored")).ends(0)
    check_reports(deep.folder / "scored")
    check_pages(deep.folder / "scored")


BAD = "\x1b[31mx\u202e"
WORDS: tuple[tuple[str, ...], ...] = (
    *(("prompts", BAD), ("models", BAD), ("metrics", BAD), ("fetch", BAD), ("check", BAD), ("report", BAD)),
    *(("score", BAD), ("score", f"{BAD}.mp4", "--metrics", BAD), ("baseline", "save", BAD), ("compare", "y", BAD)),
    *(("validate", BAD, "--human", f"no{BAD}.csv"), ("reference", "build", BAD, "-o", "r.npz"), ("nope" + BAD,)),
)


@pytest.mark.rounds(short=1, long=1)
@pytest.mark.parametrize("words", WORDS, ids=lambda words: words[0].encode("ascii", "ignore").decode()[:9])
def test_a_command_shows_what_it_was_given_and_does_not_obey_it(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    try:
        status = main(list(words))
    except SystemExit as end:
        status = end.code
    assert status != 0
    said = capsys.readouterr()
    check_screen(said.out + said.err)
    assert "\\x1b[31m" in said.out + said.err


@pytest.mark.slow
@pytest.mark.rounds(short=0, long=1)
@pytest.mark.parametrize("option", ["models", "prompts", "cache", "metrics", "device", "report"])
def test_a_session_shows_what_it_was_given_and_does_not_obey_it(option, deep: Place):
    deep.writes("test_bench.py", GENERATION)
    deep.writes("pytest.ini", "[pytest]\n")
    check_ended(deep.runs("pytest", "--color=no", f"--vdb-{option}={BAD}")).ends(4)


# Forged runs ----------------------------------------------------------------------------------------------------------

POSTERS = ("/etc/passwd", "../" * 8 + "etc/passwd", "clips/../../../p.jsonl", "../../x", "run.json", f"{MARK}.jpg")
"""Pictures that are none, or none of the run's."""

MEANT = frozenset({"status", "better", "kind", "task", "weights", "schema", "started_at", "finished_at", "packages"})
"""Fields whose text is one of a few, or no text."""

HONEST = Record(
    run="R",
    nodeid="t.py::test_generation[m--p]",
    benchmark="test_generation",
    model="m",
    status="passed",
    parameters={"size": "small"},
    prompt="p",
    prompt_text="a cat",
    category="c",
    seed=1,
    task="t2v",
    weights="none",
    revision="main",
    recipe={"scheduler": "x"},
    recipe_digest="d",
    suite="smoke@1",
    hardware="cpu",
    environment="e",
    worker="gw0",
    duration_s=1.0,
    measurements=(
        Measurement(name="sharpness", value=0.5, unit="1", better="higher"),
        Measurement(name="missing", value=None, unit="1", better="higher", reason="it is missing"),
    ),
    clip=ClipFiles(digest="d", frames=8, height=32, width=32, fps=8.0, preview="clips/p.mp4", poster="clips/p.jpg"),
    reused_from="Q",
    notes=("a note",),
)
FAILED = Failure(type="RuntimeError", message="it failed", traceback="somewhere")


def forged(value: Any, text: str) -> Any:
    """Every text of it replaced, and every key of a user's own."""
    if isinstance(value, dict):
        return {key: inner if key in MEANT else forged(inner, text) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [forged(inner, text) for inner in value]
    return text if isinstance(value, str) else value


def forged_record(at: int, text: str) -> dict[str, Any]:
    """One test whose every word is a stranger's; some have failed, and two in three share a benchmark."""
    honest = to_plain(HONEST)
    record = forged(honest | ({"status": "failed", "failure": to_plain(FAILED)} if at % 5 == 0 else {}), text)
    record |= {"run": "R", "recipe": {text: text}, "parameters": {text: text}, "prompt": f"{text}{at}"}
    record["benchmark"] = text if at % 3 == 0 else honest["benchmark"]
    record["clip"]["poster"] = POSTERS[at % len(POSTERS)]
    for measured in record["measurements"]:
        measured["name"] = f"{text}/{measured['value']}"
    return record


@pytest.fixture
def forged_run(deep: Place) -> Place:
    """A run of somebody who means harm, in `forged/runs/R`."""
    environment = Environment(python="3", platform="p", hardware="h", cpu="c", cpu_count=2, memory_mib=1, driver="d")
    honest = Run(id="R", started_at="2026-01-14T09:30:12+00:00", environment=environment, finished_at=None)
    manifest = forged(to_plain(honest), HOSTILE[-1]) | {"id": "R", "options": {text: text for text in HOSTILE}}
    deep.writes("forged/runs/R/run.json", json.dumps(manifest))
    texts = [text if len(text) < 400 else text[-150:] for text in HOSTILE]
    records = [forged_record(at, text) for at, text in enumerate(texts)]
    deep.writes("forged/runs/R/records.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    return deep


@pytest.mark.slow
@pytest.mark.rounds(short=1, long=1)
def test_a_forged_run_is_shown_and_obeyed_by_nobody(forged_run: Place):
    check_ended(forged_run.runs("vdb", "report", "forged/runs/R", "-o", "page-reports")).ends(0)
    page = forged_run.folder / "page-reports"
    check_reports(page)
    assert not [of for of in page.rglob("*.html") if "<img" in of.read_text(encoding="utf-8")], "no poster is there"
    check_pages(page)


@pytest.mark.slow
@pytest.mark.rounds(short=0, long=1)
def test_commands_obey_no_forged_run(forged_run: Place):
    forged_run.writes("human.csv", "model,prompt,rating\n\x1b[31mX,a,1\n")
    run = "forged/runs/R"
    check_ended(forged_run.runs("vdb", "baseline", "save", run, "-o", "b.json")).ends(0, 1)
    check_ended(forged_run.runs("vdb", "compare", run, "CON", "A")).ends(0, 1)
    check_ended(forged_run.runs("vdb", "compare", run, run, "--any-recipe", "-o", "c.md")).ends(0, 1)
    check_ended(forged_run.runs("vdb", "validate", "m", "--human", "human.csv", "--scores", run)).ends(0, 1)
    assert len(runs_of(forged_run.folder / "forged")) == 1
