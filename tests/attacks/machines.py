"""What a test needs of the machine: small disks, another clock, limits. Where there is none, the test is skipped."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str, *more: str) -> Iterator[Path]:
    """A disk of its own, of that size.

    Args:
        folder: where it appears.
        size: as tmpfs takes it, e.g. `20m`.
        more: further options, e.g. `ro`.
    """
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    folder.mkdir(parents=True, exist_ok=True)
    options = ",".join((f"size={size}", *more))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def fill(disk: Path) -> None:
    """To the last byte."""
    with (disk / "fill").open("ab", buffering=0) as stream:
        for size in (2**16, 2**9, 1):
            try:
                while True:
                    stream.write(bytes(size))
            except OSError:
                pass


def empty(disk: Path) -> None:
    """Take everything off it again."""
    for path in sorted(disk.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def other_clock(**told: str) -> dict[str, str]:
    """The environment of processes to which libfaketime tells another time; the monotonic clock stays right."""
    library = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
    if library is None:
        pytest.skip("no libfaketime on this machine (Debian: libfaketime)")
    monotonic = {"DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    return {"LD_PRELOAD": str(library), "FAKETIME_NO_CACHE": "1", **monotonic, **told}


def limited(limit: str) -> tuple[str, ...]:
    """What starts a command under one of the shell's limits, e.g. `ulimit -n 64` or `umask 0077`."""
    return ("bash", "-c", f'{limit}; exec "$@"', "limited")
