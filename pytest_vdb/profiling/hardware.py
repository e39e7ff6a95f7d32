"""What a device can do at most: the known graphics cards of `hardware.toml`, and what was measured of this machine."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from pytest_vdb import files
from pytest_vdb.errors import RecordError, UnknownName
from pytest_vdb.records import digest

TABLE = Path(__file__).with_suffix(".toml")
"""Where the known ones stand."""
FOLDER_OF_MEASURED = "hardware"
"""In the cache folder: a file for each device that was measured."""
_MEASURE_AGAIN = "measure it again: vdb hardware --measure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """One device and its limits."""

    name: str
    """The short one, as `--gpu` takes it."""
    title: str
    devices: tuple[str, ...] = ()
    """The whole names under which NVML, torch or ROCm tell it."""
    also: tuple[str, ...] = ()
    """Other short names."""
    chip_of: str | None = None
    """The short name of a card with the same chip and other memory."""
    memory_mib: int | None = None
    """All of it, as the driver tells; None: not measured."""
    teraflops: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Dtype -> 10^12 dense operations per second."""
    gigabytes_per_s: float | None = None
    """10^9 bytes per second of its memory."""
    board_power_w: float | None = None
    source: str
    """The data sheet; or how it was measured."""

    def peak_per_s(self, dtype: str) -> float | None:
        """Dense operations per second in that dtype, e.g. `bfloat16`; None where it is not known."""
        rate = self.teraflops.get(dtype)
        return None if rate is None else rate * 1e12

    @property
    def bytes_per_s(self) -> float | None:
        """Of its memory."""
        return None if self.gigabytes_per_s is None else self.gigabytes_per_s * 1e9

    @property
    def memory_gib(self) -> float | None:
        """All of its memory."""
        return None if self.memory_mib is None else self.memory_mib / 1024


@cache
def known(path: Path = TABLE) -> Mapping[str, Hardware]:
    """The table, by short name.

    Raises:
        RecordError: not the TOML of such a table, with the field.
    """
    tables = files.read_toml(path, error=RecordError)
    try:
        return {name: msgspec.convert({"name": name, **table}, Hardware) for name, table in tables.items()}
    except (msgspec.ValidationError, TypeError) as problem:
        raise RecordError(f"not a table of hardware: {problem}", where=path) from None


def find(device: str) -> Hardware | None:
    """The known device that NVML, torch or ROCm call so; None for any other, and for a slice of one.

    Args:
        device: its whole name, e.g. `NVIDIA H100 80GB HBM3`; capitals and blanks around do not matter.
    """
    told = device.strip().casefold()
    return next((one for one in known().values() if told in {name.casefold() for name in one.devices}), None)


def named(text: str, *, where: str) -> Hardware:
    """The device that a user means: a short name, or a whole one.

    Raises:
        UnknownName: none of these, with the near misses.
    """
    asked = text.strip().casefold()
    found = next((one for one in known().values() if asked in {one.name, *one.also}), None) or find(text)
    if found is None:
        names = [name for one in known().values() for name in (one.name, *one.also)]
        raise UnknownName("graphics card", text.strip(), names, where=where, mend="`vdb hardware` lists them all.")
    return found


# What was measured --------------------------------------------------------------------------------------------------


def keep_measured(measured: Hardware, cache_dir: Path) -> Path:
    """Write what was measured of a device of this machine where `measured_of` finds it.

    Raises:
        OutputError: it cannot be written.
    """
    text = json.dumps(dataclasses.asdict(measured), indent=2)
    return files.write(_place_of_measured(measured.name, cache_dir), text + "\n")


def measured_of(device: str, cache_dir: Path) -> Hardware | None:
    """What was measured of a device of this machine, earlier; None where nothing was.

    Raises:
        RecordError: the file is torn.
    """
    path = _place_of_measured(device, cache_dir)
    if not files.is_file(path):
        return None
    plain: Any = files.read_json(path, error=RecordError, mend=_MEASURE_AGAIN)
    try:
        return msgspec.convert(plain, Hardware)
    except msgspec.ValidationError as problem:
        raise RecordError(f"not what was measured of a device: {problem}", where=path, mend=_MEASURE_AGAIN) from None


def _place_of_measured(device: str, cache_dir: Path) -> Path:
    return cache_dir / FOLDER_OF_MEASURED / f"{digest(device)}.json"
