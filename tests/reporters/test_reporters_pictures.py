"""A poster is linked only if it lies in its run; any other costs itself, never the page."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from urllib.parse import unquote

import example_run as example
import pytest
from PIL import Image

from pytest_vdb.analysis import build
from pytest_vdb.records import Record

RUN = example.example_run()
UP = "../../"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A run's folder with one real poster; a secret lies beside the run."""
    folder = tmp_path / "runs" / RUN.id
    (folder / "clips").mkdir(parents=True)
    Image.new("RGB", (96, 64), (200, 30, 30)).save(folder / "clips" / "real.jpg")
    Image.new("RGB", (96, 64)).save(tmp_path / "secret.jpg")
    return folder


def page(folder: Path, poster: str, preview: str | None = None) -> str:
    made = example.answer(RUN, "wan", "style-01")
    assert made.clip is not None
    clip = dataclasses.replace(made.clip, poster=poster, preview=preview)
    records: list[Record] = [dataclasses.replace(made, clip=clip)]
    return example.pages_of_models(build(RUN, records), root=folder.parent.parent)


def pictures(text: str) -> list[str]:
    """The posters, from the run's folder."""
    return [
        unquote(link).removeprefix(f"{UP}runs/{RUN.id}/")
        for link in re.findall(r'<(?:img src|video [^>]*?poster)="([^"]*)"', text)
    ]


def test_a_picture_in_the_run_is_linked(folder):
    assert pictures(page(folder, "clips/real.jpg")) == ["clips/real.jpg"]


@pytest.mark.parametrize(
    "name",
    [
        *("run.json", "clips", "clips/no-such.jpg", "", ".", "..", "/etc/passwd", "../../secret.jpg", "x" * 300),
        *("clips\\..\\real.jpg", "clips/real.jpg\x00", "C:\\real.jpg", "clips/../../../secret.jpg", "\ud800.jpg"),
        *("//host/share.jpg", "data:image/jpeg;base64,AAAA", "javascript:alert(1)", "clips/" + "a/" * 3000 + "x.jpg"),
    ],
)
def test_a_strange_name_costs_the_picture_and_not_the_page(folder, name):
    text = page(folder, name, preview=name)
    assert pictures(text) == []
    assert "A lighthouse in a storm" in text


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="links need rights on Windows")
def test_no_link_leads_out_of_the_run(folder):
    (folder / "clips" / "out.jpg").symlink_to(folder.parent.parent / "secret.jpg")
    (folder / "out").symlink_to(folder.parent.parent)
    (folder / "clips" / "loop.jpg").symlink_to("loop.jpg")
    (folder / "clips" / "in.jpg").symlink_to("real.jpg")
    for name in ("clips/out.jpg", "out/secret.jpg", "clips/loop.jpg"):
        assert pictures(page(folder, name)) == []
    assert pictures(page(folder, "clips/in.jpg")) == ["clips/in.jpg"]


def test_a_poster_that_is_a_pipe_is_not_waited_for(folder):
    os.mkfifo(folder / "clips" / "pipe.jpg")
    assert pictures(page(folder, "clips/pipe.jpg")) == []
