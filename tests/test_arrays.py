"""numpy's files: what they hold comes back, what they promise is held to the budget, and no pickle is read."""

from __future__ import annotations

import io
import os
import struct
import zipfile

import numpy as np
import pytest

from pytest_vdb import arrays
from pytest_vdb.errors import RecordError, TooLarge


def header(shape: str, dtype: str = "|u1") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def zipped(path, **members: bytes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


@pytest.mark.parametrize("array", [np.arange(6).reshape(2, 3), np.zeros((0, 4)), np.float32(3), np.ones((2, 2), "F")])
def test_arrays_come_back(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", one=array, two=np.asfortranarray(array))
    read = arrays.read_npz(tmp_path / "a.npz", error=RecordError)
    assert list(read) == ["one", "two"]
    for found in (arrays.read_npy(tmp_path / "a.npy", error=RecordError), *read.values()):
        np.testing.assert_array_equal(found, array)
        assert found.dtype == np.asarray(array).dtype


class Runs:
    def __init__(self, canary) -> None:
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch '{self.canary}'",)


def test_pickled_objects_are_not_read(tmp_path):
    objects = np.empty(1, dtype=object)
    objects[0] = Runs(tmp_path / "canary")
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    with pytest.raises(RecordError, match="an array of Python objects"):
        arrays.read_npy(tmp_path / "a.npy", error=RecordError)
    zipped(tmp_path / "a.npz", evil=(tmp_path / "a.npy").read_bytes())
    with pytest.raises(RecordError, match="an array of Python objects"):
        arrays.read_npz(tmp_path / "a.npz", error=RecordError)
    assert not (tmp_path / "canary").exists()


def test_a_header_is_no_program(tmp_path):
    (tmp_path / "a.npy").write_bytes(header(f"__import__('os').system('touch {tmp_path}/canary')"))
    with pytest.raises(RecordError, match=r"a\.npy: no array can be read"):
        arrays.read_npy(tmp_path / "a.npy", error=RecordError)
    assert not (tmp_path / "canary").exists()


def test_texts_are_no_numbers(tmp_path):
    np.save(tmp_path / "a.npy", np.array(["a", "b"]))
    with pytest.raises(RecordError, match="not of numbers"):
        arrays.read_npy(tmp_path / "a.npy", error=RecordError)


@pytest.mark.parametrize("shape", ["(1000000000, 1000, 1000, 3)", f"({2**63}, {2**63}, 3)"])
def test_what_a_header_promises_is_held_to_the_budget(tmp_path, shape):
    (tmp_path / "a.npy").write_bytes(header(shape) + bytes(1000))
    with pytest.raises(TooLarge, match=r"a\.npy: .* GiB in memory, more than .*\n.*VDB_BUDGET"):
        arrays.read_npy(tmp_path / "a.npy", error=RecordError)


def test_an_archive_of_zeros_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setenv("VDB_BUDGET", "10M")
    zeros = header("(6000000,)") + bytes(6_000_000)
    bomb = zipped(tmp_path / "bomb.npz", a=zeros, b=zeros)
    assert bomb.stat().st_size < 20_000
    with pytest.raises(TooLarge, match=r"bomb\.npz: 11 MiB in memory, more than 10 MiB"):
        arrays.read_npz(bomb, error=RecordError)
    assert arrays.read_npz(zipped(tmp_path / "one.npz", a=zeros), error=RecordError)["a"].size == 6_000_000


@pytest.mark.parametrize("size", [0, 9])
def test_an_array_shorter_than_it_says_is_refused(tmp_path, size):
    (tmp_path / "a.npy").write_bytes(header("(10,)") + bytes(size))
    zipped(tmp_path / "a.npz", a=header("(10,)") + bytes(size))
    for read, name in ((arrays.read_npy, "a.npy"), (arrays.read_npz, "a.npz")):
        with pytest.raises(RecordError, match="promises 10 bytes"):
            read(tmp_path / name, error=RecordError)


def test_torn_locked_and_absent_files_are_named(tmp_path):
    whole = io.BytesIO()
    np.savez(whole, a=np.arange(100))
    for name, content in {"torn": whole.getvalue()[:200], "empty": b"", "text": b"Dear Sir"}.items():
        (tmp_path / name).write_bytes(content)
    encrypted = bytearray(whole.getvalue())
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):
        encrypted[encrypted.find(mark) + (6 if mark[2] == 3 else 8)] |= 1
    (tmp_path / "encrypted").write_bytes(encrypted)
    for name in ("torn", "empty", "text", "encrypted", "absent"):
        with pytest.raises(RecordError, match=name):
            arrays.read_npz(tmp_path / name, error=RecordError)
    with pytest.raises(RecordError, match="a folder, not a file"):
        arrays.read_npy(tmp_path, error=RecordError)
