"""`vdb hardware`: the known graphics cards and their limits, what this machine is, and measuring it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.printing import print_json, print_table, show, warn

if TYPE_CHECKING:
    from pytest_vdb.profiling.hardware import Hardware


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    hardware = commands.add_parser("hardware", help="the known graphics cards and their limits, and what this one is")
    hardware.add_argument(
        "--measure",
        action="store_true",
        help="multiply matrices and copy bytes here for a second or so, and keep what was reached in the cache folder",
    )
    hardware.add_argument("--json", action="store_true", help="as JSON")
    hardware.set_defaults(command=Command(HardwareArguments, _tell_hardware))


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareArguments:
    """What `vdb hardware` was asked."""

    measure: bool
    json: bool


def _tell_hardware(arguments: HardwareArguments) -> int:
    from pytest_vdb.profiling import hardware

    here = [_device_here(device, name, memory, arguments) for device, name, memory in _devices_here()]
    if arguments.json:
        listed = [dataclasses.asdict(one) for one in hardware.known().values()]
        print_json({"here": here, "known": listed})
        return 0
    header = ("card", "what it is", "memory GiB", "bf16 TFLOP/s", "fp8 TFLOP/s", "GB/s", "W")
    print_table(header, (_row_of_hardware(one) for one in hardware.known().values()))
    for one in here:
        show(_sentence_on_this(one))
    return 0


def _devices_here() -> list[tuple[str, str, int | None]]:
    """The devices of this machine: what torch calls it, its name, its memory in MiB."""
    from pytest_vdb.results.environment import capture

    machine = capture("cpu")
    cards = [(f"cuda:{place}", card.name, card.memory_mib) for place, card in enumerate(machine.gpus)]
    return [*cards, ("cpu", machine.cpu, machine.memory_mib)]


def _device_here(device: str, name: str, memory_mib: int | None, arguments: HardwareArguments) -> dict[str, Any]:
    """One of this machine's: what is known and what was measured of it."""
    from pytest_vdb.options import cache_folder
    from pytest_vdb.profiling import hardware, peaks

    measured: Hardware | None
    if arguments.measure:
        effort = peaks.ON_A_PROCESSOR if device == "cpu" else peaks.ON_A_GPU
        reached = peaks.measure(device, name, effort, memory_mib=memory_mib)
        kept, measured = hardware.keep_measured(reached, cache_folder()), reached
        warn(f"{name}: measured, and kept in {kept}")
    else:
        measured = hardware.measured_of(name, cache_folder())
    found = hardware.find(name)
    return {
        "device": device,
        "name": name,
        "memory_mib": memory_mib,
        "known_as": None if found is None else found.name,
        "measured": None if measured is None else dataclasses.asdict(measured),
    }


def _row_of_hardware(one: Hardware) -> tuple[object, ...]:
    return (
        one.name,
        one.title,
        None if one.memory_gib is None else f"{one.memory_gib:.1f}",
        *(f"{one.teraflops[dtype]:g}" if dtype in one.teraflops else None for dtype in ("bfloat16", "float8")),
        f"{one.gigabytes_per_s:g}",
        f"{one.board_power_w:g}",
    )


def _sentence_on_this(here: dict[str, Any]) -> str:
    known = f"known as {here['known_as']}" if here["known_as"] else "not in the table"
    measured = here["measured"]
    if measured is None:
        return f"here: {here['device']}, {here['name']}: {known}; not measured (vdb hardware --measure)"
    rates = ", ".join(f"{dtype} {rate:.3g} TFLOP/s" for dtype, rate in measured["teraflops"].items())
    return f"here: {here['device']}, {here['name']}: {known}; measured: {rates}, {measured['gigabytes_per_s']:.3g} GB/s"
