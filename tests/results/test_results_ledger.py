"""What `vdb score` keeps, read as one table: each clip once, whoever scored it how often under which name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_vdb.errors import RecordError
from pytest_vdb.records import Measurement, Record, digest
from pytest_vdb.results import ledger
from pytest_vdb.results.ledger import Ledger

SHARP = Measurement(name="sharpness", value=0.5, unit="1", better="higher")


@pytest.fixture
def book(tmp_path) -> Ledger:
    return Ledger(tmp_path / "reports" / "scores" / "videos.jsonl")


def scored(name: str, *, folder: str = "wan/videos", model: str = "wan", file: str = "f1", **more: object) -> Record:
    settings = {"file": file, "prompt": None}
    return replace(
        Record(
            run="score-1",
            nodeid=name,
            benchmark=ledger.SCORE,
            model=model,
            status="passed",
            recipe={**settings, "folder": folder},
            recipe_digest=digest(settings),
            measurements=(SHARP,),
        ),
        **more,
    )


def test_clips_of_one_name_in_two_folders_are_two(book):
    book.append(scored("p1.mp4"))
    book.append(scored("p1.mp4", folder="cog/videos", model="cog"))
    assert [(record.model, record.nodeid) for record in ledger.read(book.path).records] == [
        ("wan", "p1.mp4"),
        ("cog", "p1.mp4"),
    ]
    assert book.folders("wan") == []  # neither is there any more
    (book.path.parents[2] / "wan" / "videos").mkdir(parents=True)
    assert book.folders("wan") == ["wan/videos"]


def test_twins_are_two_and_a_renamed_clip_is_one(book):
    book.append(scored("a.mp4"))
    book.append(scored("b.mp4"))
    assert [record.nodeid for record in ledger.read(book.path).records] == ["a.mp4", "b.mp4"]
    folder = book.path.parents[2] / "wan" / "videos"
    folder.mkdir(parents=True)
    for name in ("a.mp4", "b.mp4"):
        (folder / name).touch()
    assert book.former_name("f1") is None
    (folder / "b.mp4").rename(folder / "c.mp4")
    assert book.former_name("f1") == ("wan/videos", "b.mp4")
    renamed = scored("c.mp4")
    book.append(replace(renamed, recipe={**renamed.recipe, "renamed_from": ["wan/videos", "b.mp4"]}))
    assert [record.nodeid for record in ledger.read(book.path).records] == ["a.mp4", "c.mp4"]
    assert [record.nodeid for record in ledger.read(Ledger(book.path).path).records] == ["a.mp4", "c.mp4"]


def test_what_is_said_last_counts_and_nothing_measured_is_lost(book):
    other = replace(SHARP, name="psnr", value=30.0)
    book.append(scored("a.mp4"))
    book.append(scored("a.mp4", model="Wan 2.1", measurements=(other,)))
    (record,) = ledger.read(book.path).records
    assert record.model == "Wan 2.1"
    assert record.measurements == (SHARP, other)


def test_another_file_of_the_same_name_replaces_the_clip(book):
    book.append(scored("a.mp4"))
    book.append(scored("a.mp4", file="f2", measurements=(replace(SHARP, value=0.1),)))
    (record,) = ledger.read(book.path).records
    assert [measured.value for measured in record.measurements] == [0.1]


def test_records_of_before_folders_were_told_are_the_same_clips(book):
    book.append(scored("a.mp4", recipe={"file": "f1", "prompt": None}))
    book.append(scored("a.mp4"))
    assert len(ledger.read(book.path).records) == 1


def test_a_folder_is_spelled_relative_to_the_project_or_not_told(tmp_path):
    inside = tmp_path / "project" / "wan" / "videos"
    inside.mkdir(parents=True)
    book = tmp_path / "project" / "reports" / "scores" / "videos.jsonl"
    assert ledger.folder_of(inside, book) == "wan/videos"
    assert ledger.folder_of(inside, tmp_path / "project" / "mine.jsonl") == "wan/videos"
    elsewhere = ledger.folder_of(tmp_path / "secret-user" / "videos", book)
    assert elsewhere.startswith("videos#")
    assert elsewhere == ledger.folder_of(tmp_path / "secret-user" / "videos", book)
    assert elsewhere != ledger.folder_of(tmp_path / "other" / "videos", book)
    assert "secret-user" not in elsewhere


def test_what_a_session_said_of_itself_may_be_unreadable(book):
    book.append(scored("a.mp4"))
    ledger.about(book.path).write_bytes(b"\xff")
    table = ledger.read(book.path)
    assert len(table.records) == 1
    assert any("videos.run.json: not JSON" in warning for warning in table.warnings)


def test_a_file_without_records_says_how_many_lines_are_none(tmp_path):
    (tmp_path / "a.jsonl").write_text("{}\n[]\n")
    with pytest.raises(RecordError, match=r"a\.jsonl: it holds no record of a scored clip \(2 lines that are none\)"):
        ledger.read(tmp_path / "a.jsonl")


def test_features_lie_beside_their_ledger(book):
    record = scored("a.mp4")
    book.append(record)
    kept = ledger.features_of(book.path, str(record.recipe_digest))
    assert ledger.read(book.path).records[0].features is None
    kept.parent.mkdir()
    kept.touch()
    assert ledger.read(book.path).records[0].features == str(Path("videos.features") / kept.name)
