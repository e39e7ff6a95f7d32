"""One door for reading and one for writing: what is no file, no text, no JSON or no place says so."""

import os
import socket
from pathlib import Path

import pytest

from pytest_vdb import files
from pytest_vdb.errors import OutputError, RecordError, TooLarge


def write_folder(folder, contents):
    with files.new_folder(folder) as part:
        for path, content in contents:
            files.write_within(part / path, content)


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


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_json_is_read_to_the_same_depth_on_every_python(opening, closing):
    files.parse_json(opening * 256 + "1" + closing * 256, where="here", error=RecordError)
    with pytest.raises(RecordError, match=r"here: not JSON: nested too deeply"):
        files.parse_json(opening * 257 + "1" + closing * 257, where="here", error=RecordError)


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


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("taken", "a folder, not a file"),
        (".", "a folder, not a file"),
        ("file/a.txt", "a file is where the folder should be"),
        ("x" * 300, "cannot be written: File name too long"),
        ("a\0b", "no file can have this name"),
        ("a\ud800b", "no file can have this name"),
    ],
)
def test_where_no_file_can_be_is_said_before_the_work_and_after_it(tmp_path, monkeypatch, name, why):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=why):
        files.check_writable(name)
    with pytest.raises(OutputError, match=why):
        files.write(name, "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken"]


def test_asking_whether_a_file_can_be_written_writes_none(tmp_path):
    kept = files.write(tmp_path / "new" / "a.txt", "old")
    assert files.check_writable(kept) == kept
    files.check_writable(kept.parent / "b.txt")
    assert [path.name for path in kept.parent.iterdir()] == ["a.txt"]
    assert kept.read_text() == "old"


def test_half_a_character_is_written_as_its_escape(tmp_path):
    assert files.write(tmp_path / "a", "\ud800").read_text() == "\\ud800"


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "a\ud800b", "nowhere"])
def test_what_the_system_cannot_spell_is_not_there(name):
    assert not any((files.is_there(name), files.is_file(name), files.is_folder(name)))
    assert files.is_folder(".")
    assert files.is_file(__file__)


def test_a_folder_that_is_written_holds_these_files_alone(tmp_path):
    write_folder(tmp_path / "pages", [("a.html", "old"), ("inner/b.html", b"old")])
    write_folder(tmp_path / "pages", [("c.html", "new")])
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["pages", "pages/c.html"]
    write_folder(tmp_path / "pages", [])
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_whole_stays_as_it_was(tmp_path):
    write_folder(tmp_path / "pages", [("a.html", "old")])

    def contents():
        yield "a.html", "new"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_folder(tmp_path / "pages", contents())
    with pytest.raises(OutputError, match="no file can have this name"):
        write_folder(tmp_path / "pages", [("b.html", "new"), ("\0", "new")])
    assert [path.name for path in tmp_path.iterdir()] == ["pages"]
    assert (tmp_path / "pages" / "a.html").read_text() == "old"


def test_a_folder_is_there_again_when_its_writer_is_stopped_between_the_two_renames(tmp_path, monkeypatch):
    write_folder(tmp_path / "pages", [("a.html", "old")])
    rename = Path.rename

    def stopped_before_the_second(self: Path, target: Path) -> Path:
        if self.suffix == ".part":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stopped_before_the_second)
    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "pages", [("a.html", "new")])
    assert [path.name for path in tmp_path.iterdir()] == ["pages"]
    assert (tmp_path / "pages" / "a.html").read_text() == "old"


def test_the_ordinary_files_of_a_folder_are_told_from_links_and_folders(tmp_path):
    (tmp_path / "a").write_text("")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "folder").mkdir()
    assert files.names_in(tmp_path) == ({"a"}, {"link", "folder"})
    assert files.names_in(tmp_path / "nowhere") is files.names_in("\0") is None


@pytest.mark.parametrize("offset", [-10, -7, -1, 0, 1])
def test_lines_that_begin_so_are_found_wherever_they_lie(tmp_path, offset):
    """Across the end of what is read at once, too, and where one is longer than that."""
    block = 1 << 20
    lines = [b"wanted 0", b"", b"not wanted", b"." * (block + offset - 22), b"wanted 1", b"wanted 2" * block, b"wanted"]
    path = tmp_path / "lines"
    path.write_bytes(b"\n".join(lines) + b"\nwanted and torn")
    found = list(files.lines_beginning(b"wanted", path, error=RecordError))
    assert found == [line for line in lines if line.startswith(b"wanted")]


def test_a_file_without_such_lines_has_none(tmp_path):
    (tmp_path / "lines").touch()
    assert not list(files.lines_beginning(b"wanted", tmp_path / "lines", error=RecordError))
    with pytest.raises(RecordError, match="a folder, not a file"):
        list(files.lines_beginning(b"wanted", tmp_path, error=RecordError))
