"""A poster is inlined only if it is a picture and lies in its run; any other costs itself, never the page."""

from __future__ import annotations

import base64
import dataclasses
import os
import re
from pathlib import Path

import example_run as example
import pytest
from PIL import Image

from pytest_vdb.analysis import build
from pytest_vdb.records import Record
from pytest_vdb.reporters import html

RUN = example.example_run()


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
    return html.render(build(RUN, records), root=folder.parent.parent)


def pictures(text: str) -> list[bytes]:
    return [base64.b64decode(data) for data in re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", text)]


def test_a_picture_in_the_run_is_inlined(folder):
    assert pictures(page(folder, "clips/real.jpg")) == [(folder / "clips" / "real.jpg").read_bytes()]


@pytest.mark.parametrize(
    "name",
    [
        *("run.json", "clips", "clips/no-such.jpg", "", ".", "..", "/etc/passwd", "../../secret.jpg", "x" * 300),
        *("clips\\..\\real.jpg", "clips/real.jpg\x00", "C:\\real.jpg", "clips/../../../secret.jpg", "\ud800.jpg"),
        *("//host/share.jpg", "data:image/jpeg;base64,AAAA", "javascript:alert(1)", "clips/" + "a/" * 3000 + "x.jpg"),
    ],
)
def test_a_strange_name_costs_the_picture_and_not_the_page(folder, name):
    (folder / "run.json").write_text("{}")
    text = page(folder, name, preview=name)
    assert pictures(text) == []
    assert "A lighthouse in a storm" in text
    assert "secret" not in text.replace("secret.jpg", "")


def test_what_calls_itself_a_jpeg_and_is_none_stays_out(folder):
    real = (folder / "clips" / "real.jpg").read_bytes()
    fakes = {
        "text.jpg": b"root:x:0:0",
        "cut.jpg": real[: len(real) // 2],
        "head.jpg": real[:4] + b"root:x:0:0",
        "page.jpg": b"<svg onload=alert(1)>",
        "empty.jpg": b"",
        "large.jpg": real + bytes(html.POSTER_BYTES),
    }
    for name, content in fakes.items():
        (folder / "clips" / name).write_bytes(content)
        text = page(folder, f"clips/{name}")
        assert pictures(text) == [], name
        assert name not in text


def test_a_picture_of_very_many_pixels_stays_out(folder):
    Image.new("L", (9_000, 9_000)).save(folder / "clips" / "vast.jpg", quality=1)
    assert (folder / "clips" / "vast.jpg").stat().st_size < html.POSTER_BYTES
    assert pictures(page(folder, "clips/vast.jpg")) == []


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="links need rights on Windows")
def test_no_link_leads_out_of_the_run(folder):
    (folder / "clips" / "out.jpg").symlink_to(folder.parent.parent / "secret.jpg")
    (folder / "out").symlink_to(folder.parent.parent)
    (folder / "clips" / "loop.jpg").symlink_to("loop.jpg")
    (folder / "clips" / "in.jpg").symlink_to("real.jpg")
    for name in ("clips/out.jpg", "out/secret.jpg", "clips/loop.jpg"):
        assert pictures(page(folder, name)) == []
    assert len(pictures(page(folder, "clips/in.jpg"))) == 1


def test_a_poster_that_is_a_pipe_is_not_waited_for(folder):
    os.mkfifo(folder / "clips" / "pipe.jpg")
    assert pictures(page(folder, "clips/pipe.jpg")) == []
