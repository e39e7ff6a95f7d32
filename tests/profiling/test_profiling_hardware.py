"""Known devices are found by their whole names; what was measured is kept, and read as it was."""

from __future__ import annotations

import pytest
import torch

from pytest_vdb.errors import RecordError, UnknownName
from pytest_vdb.profiling import hardware, peaks

KNOWN = hardware.known()


@pytest.mark.parametrize("one", KNOWN.values(), ids=list(KNOWN))
def test_every_known_card_has_its_limits_and_where_they_were_read(one):
    assert one.source
    assert hardware.find(one.devices[0]) is one
    assert one.memory_gib > 10
    assert 0.5 < one.bytes_per_s / 300e9 < 30
    assert 50 < one.board_power_w < 1500
    slowest = one.peak_per_s("float32")
    assert all(one.peak_per_s(dtype) >= slowest for dtype in one.teraflops)
    assert one.peak_per_s("float16") == one.peak_per_s("bfloat16") or "bfloat16" not in one.teraflops


def test_a_card_with_the_chip_of_another_multiplies_as_fast():
    twins = [one for one in KNOWN.values() if one.chip_of is not None]
    assert twins
    for one in twins:
        assert one.teraflops == KNOWN[one.chip_of].teraflops


def test_no_two_cards_share_a_name():
    names = [name.casefold() for one in KNOWN.values() for name in {one.name, *one.also}]
    devices = [device.casefold() for one in KNOWN.values() for device in one.devices]
    assert len(names) == len(set(names))
    assert len(devices) == len(set(devices))


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("nvidia geforce rtx 4090 ", "rtx4090"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("", None),
    ],
)
def test_a_card_is_known_by_its_whole_name_and_a_slice_of_it_is_another(device, name):
    found = hardware.find(device)
    assert (found and found.name) == name


def test_an_unknown_card_is_refused_with_what_was_meant():
    assert hardware.named("A100", where="--gpu").name == "a100-sxm-80gb"
    with pytest.raises(UnknownName, match="did you mean 'rtx4090'"):
        hardware.named("rtx4099", where="--gpu")


def test_h100_multiplies_as_its_sheet_says():
    assert KNOWN["h100"].peak_per_s("bfloat16") == pytest.approx(989.4e12)
    assert KNOWN["h100"].peak_per_s("float64") is None


def test_what_was_measured_here_is_read_again_as_it_was(tmp_path):
    small = peaks.Effort(side=64, copied_mib=1, repeats=1)
    measured = peaks.measure("cpu", "this processor", small, memory_mib=1024)
    assert measured.peak_per_s("float32") > 1e6
    assert measured.bytes_per_s > 1e6
    assert f"torch {torch.__version__}" in measured.source
    hardware.keep_measured(measured, tmp_path)
    assert hardware.measured_of("this processor", tmp_path) == measured
    assert hardware.measured_of("another", tmp_path) is None


def test_a_torn_file_of_what_was_measured_says_how_to_measure_again(tmp_path):
    path = hardware.keep_measured(KNOWN["t4"], tmp_path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(RecordError, match="vdb hardware --measure"):
        hardware.measured_of("t4", tmp_path)
