"""One door for reading and one for writing: what is no file, no text, no JSON or no place says so."""

import os
import socket

import pytest

from pytest_vdb import files
from pytest_vdb.errors import OutputError, RecordError, TooLarge


def test_a_device_a_pipe_a_socket_and_a_folder_are_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for path, kind in (("/dev/zero", "a device"), ("pipe", "a pipe"), ("socket", "a socket"), (".", "a folder")):
            with pytest.raises(RecordError, match=f"{path}: {kind}, not a file"):
                files.read_bytes(path, error=RecordError)


@pytest.mark.parametrize("name", ["nowhere.json", "a\0b"])
def test_what_is_not_there_is_said_by_name(name):
    with pytest.raises(RecordError, match=r"nowhere\.json: there is no such file|a\\x00b: cannot be read"):
        files.read_bytes(name, error=RecordError)


def test_what_is_not_text_is_said_with_its_line(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\ntwo\n\xff\n")
    with pytest.raises(RecordError, match=r"a\.txt:3: not UTF-8"):
        files.read_text(tmp_path / "a.txt", error=RecordError)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "7" * 5_000, '"\\ud800"', b"\xff"])
def test_what_is_no_json_is_said(text):
    with pytest.raises(RecordError, match=r"here: not JSON"):
        files.parse_json(text, where="here", error=RecordError)


def test_only_line_feeds_end_a_line():
    assert list(files.lines_of("a\u2028b\x85c\x0cd\r\n\n e\n")) == [(1, "a\u2028b\x85c\x0cd"), (3, " e")]


def test_a_file_beyond_the_budget_is_refused_by_its_size(tmp_path, monkeypatch):
    monkeypatch.setenv("VDB_BUDGET", "1K")
    (tmp_path / "large").write_bytes(b"x" * 2048)
    with pytest.raises(TooLarge, match=r"large: 2\.0 KiB in memory, more than 1\.0 KiB\n.*--vdb-budget"):
        files.read_bytes(tmp_path / "large", error=RecordError)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    target = files.write(tmp_path / "new" / "a.txt", "old")

    def torn(part):
        part.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"a\.txt: cannot be written: No space left on device"):
        files.write_by(target, torn)
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_a_file_in_the_way_of_a_folder_is_said(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(OutputError, match="a file is where the folder should be"):
        files.write(tmp_path / "a" / "b.txt", "")


def test_half_a_character_is_written_as_its_escape(tmp_path):
    assert files.write(tmp_path / "a", "\ud800").read_text() == "\\ud800"
