"""One run in both schemas: every command says the same of it, to the byte."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from written_runs import ENVIRONMENT

from pytest_vdb import files
from pytest_vdb.cli import main
from pytest_vdb.records import Failure, Measurement, Record, Run, to_json
from pytest_vdb.results import journal
from pytest_vdb.results.journal import Journal

TEXT = "a text, the same for all"


def measurements(day: int, model: int, prompt: int) -> tuple[Measurement, ...]:
    """Of every sort: costs, a bounded score, a missing one, a neutral one, one of two versions."""
    drift = (7 * prompt + 3 * model + day) % 5 / 100
    missing = prompt == 3 and model == 1
    return (
        Measurement(name="sharpness", value=0.3 + drift, unit="1", better="higher"),
        Measurement(
            name="clip_similarity",
            value=None if missing else 0.2 + drift,
            unit="cosine",
            better="higher",
            reason="no weights" if missing else None,
            version="1" if missing else "1+vit",
        ),
        Measurement(name="motion_amount", value=float(prompt), unit="px/frame", better="neutral", series=(0.5, 1.0)),
        Measurement(name="vbench.dynamic_degree", value=float(prompt % 2), unit="1", better="higher"),
        *(
            [Measurement(name="load_time", value=3.0, unit="s", better="lower", kind="performance")]
            if prompt == 0
            else []
        ),
        Measurement(name="latency", value=2.0 + drift, unit="s", better="lower", kind="performance"),
    )


def records_of(run: Run, day: int) -> list[Record]:
    """Three models, one of which fails a prompt and takes another from the cache; and a metric of the whole set."""
    found = []
    for model in range(3):
        blank = Record(
            run=run.id,
            nodeid=f"t.py::test_generation[m{model}-set]",
            benchmark="t.py::test_generation",
            model=f"m{model}",
            status="passed",
            weights="hub",
            recipe={"frames": 9},
            recipe_digest="r",
            hardware=run.environment.hardware,
            suite="s@1",
        )
        for prompt in range(8):
            one = dataclasses.replace(
                blank,
                nodeid=f"t.py::test_generation[m{model}-p{prompt}]",
                prompt=f"p{prompt}",
                prompt_text=f"{TEXT}: {prompt}",
                seed=prompt,
                measurements=measurements(day, model, prompt),
                reused_from="earlier" if (model, prompt) == (1, 5) else None,
                notes=("a note",) if prompt == 2 else (),
            )
            if (model, prompt) == (2, 4):
                one = dataclasses.replace(one, status="failed", failure=Failure(type="BadClip", message="constant"))
            found.append(one)
        value = 100.0 + model + day
        fvd = Measurement(name="fvd", value=value, unit="1", better="lower", n=8, interval=(90.0, 120.0), reason="few")
        found.append(dataclasses.replace(blank, measurements=(fvd,)))
    return found


@pytest.fixture
def both(tmp_path: Path) -> list[list[Path]]:
    """The folders of two runs in schema 1, and of the same in schema 2."""
    folders: list[list[Path]] = [[], []]
    for day in (1, 2):
        began = f"2026-01-0{day}T00:00:00+00:00"
        run = Run(id=f"2026010{day}-000000-abcdef", started_at=began, finished_at=began, environment=ENVIRONMENT)
        records = records_of(run, day)
        old = tmp_path / "schema" / "runs" / run.id
        files.write(old / "run.json", to_json(run) + "\n")
        files.write(old / "records.jsonl", "".join(to_json(record) + "\n" for record in records))
        book = Journal.create(tmp_path / "scheme" / "", run)
        for record in records:
            book.append(record)
        book.finish(run)
        folders[0].append(old)
        folders[1].append(book.folder)
    return folders


COMMANDS = {
    "report": lambda first, second: ["report", first, second, "-o", "page"],
    "compare": lambda first, second: ["compare", second, first, "--json"],
    "compare-models": lambda first, second: ["compare", first, "m0", "m1", "-o", "page/compare.md"],
    "compare-page": lambda first, second: ["compare", second, first, "--html", "page/compare.html"],
    "gate": lambda first, second: ["gate", second, "--baseline", first, "--fail-on", "*:-1%", "--json"],
    "noise": lambda first, second: ["noise", "--runs", first, second, "--json"],
    "baseline": lambda first, second: ["baseline", "save", second, "-o", "page/base.json"],
    "history": lambda first, second: ["history", "--json", str(Path(first).parent.parent)],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_the_same_of_both(both, name, tmp_path, monkeypatch, capsys):
    said = []
    for at, (first, second) in enumerate(both):
        place = tmp_path / f"place-{at}"
        place.mkdir()
        monkeypatch.chdir(place)
        status = main([str(word) for word in COMMANDS[name](first, second)])
        shown = capsys.readouterr()
        written = {path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()}
        said.append((status, (shown.out + shown.err).replace("scheme", "schema").replace(str(place), ""), written))
    assert said[0] == said[1]
    assert said[0][1]


def test_the_smaller_one_is_the_one_that_sessions_write(both):
    old, new = (sum((run / "records.jsonl").stat().st_size for run in runs) for runs in both)
    assert new < old / 2
    assert journal.read(both[0][0])[1] == journal.read(both[1][0])[1]
