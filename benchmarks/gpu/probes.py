"""Probes of time and memory against CUDA's events, PyTorch's own counters, the driver's program and arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from pytest_vdb.components import STAGES
from pytest_vdb.errors import VdbError
from pytest_vdb.profiling import hardware, peaks
from pytest_vdb.profiling.cuda_memory import ALLOCATED, KEPT_MIB, KEPT_SHARE, OUTSIDE, RESERVED
from pytest_vdb.profiling.devices import cards_in_use
from pytest_vdb.profiling.division import DECODE, DENOISE
from pytest_vdb.profiling.latency import LATENCY, THROUGHPUT
from pytest_vdb.profiling.nvml import CannotTell, Cards
from pytest_vdb.profiling.profiler import Profiler
from pytest_vdb.profiling.settings import Settings
from pytest_vdb.profiling.stage_memory import ALLOCATED_IN_STAGE
from pytest_vdb.profiling.stages import DENOISER_CALLS, DENOISING_STEPS, OTHER_TIME, STEP_TIME, TIMES
from pytest_vdb.profiling.timeline import TIMELINE
from pytest_vdb.results.environment import graphics

from . import smi
from .cards import CANNOT, Card
from .pipeline import Work, WorkingPipeline
from .plan import Plan
from .rows import Check, Figure, Row, Told, compare, told

EVENTS = "CUDA events around the same work"
ARITHMETIC = "what was taken, added up"
FRAMES = 16
"""That the work is said to have made."""
ROUNDING_MIB = 4.0
"""By how much PyTorch rounds a block up."""
OTHERS_MIB = 256.0
"""By how much what others hold of a card may change between two looks."""


def rows(plan: Plan, card: Card, left_s: Callable[[], float]) -> Iterator[Row]:  # noqa: ARG001 - takes seconds
    """All of them."""
    yield from of_identity(card)
    yield from of_time(plan, card)
    yield from of_memory(plan, card)
    yield from of_stages(plan, card)
    yield from of_peaks(plan, card)


def uuid_of(card: Card) -> Told:
    """The card's UUID as CUDA tells it, spelt as the driver does."""
    try:
        with Cards(cards_in_use(card.device)) as cards:
            return Told(cards.uuids[0])
    except CannotTell as error:
        return Told(None, str(error))


def of_identity(card: Card) -> Iterator[Row]:
    """Which card this is, by torch, by NVML and by the driver's program."""
    uuid, (seen, driver, cuda) = uuid_of(card), graphics()
    first = seen[0] if seen else None
    missing = Told(None, "NVML shows no card that this process may use")
    asked = smi.asked(("uuid", "name", "memory.total", "driver_version", "mig.mode.current"), str(uuid.value))
    yield compare("UUID: torch's", uuid, Told(asked["uuid"]), source=smi.SOURCE)
    yield compare("UUID: ours", Told(first.uuid) if first else missing, uuid, source="torch")
    yield compare("name", Told(first.name) if first else missing, Told(asked["name"]), source=smi.SOURCE)
    yield compare("name, by torch", Told(card.name), Told(asked["name"]), source=smi.SOURCE)
    total = Told(first.memory_mib) if first else missing
    yield compare("memory", total, Told(smi.number(asked["memory.total"])), source=smi.SOURCE, unit="MiB", absolute=1)
    known = hardware.find(card.name)
    in_table = Told(known.memory_mib) if known else Told(None, f"hardware.toml has no {card.name}")
    yield compare("memory, by NVML", total, in_table, source="our table of cards", unit="MiB", relative=0.01)
    yield _kept_by_driver(card, total)
    yield compare("driver", Told(driver, "NVML is not here"), Told(asked["driver_version"]), source=smi.SOURCE)
    yield Figure(what="CUDA that the driver knows", value=cuda, reason=None if cuda else "NVML is not here")
    yield compare("MIG divides it", Told(_divided(card)), Told(_mig_word(asked["mig.mode.current"])), source=smi.SOURCE)


def of_time(plan: Plan, card: Card) -> Iterator[Row]:
    """A block of work that is queued and not waited for."""
    card.synchronise()
    with Profiler(card.device).watch() as readings:
        start = card.moment()
        card.work(plan.burst_s)
        end = card.moment()
        readings.frames = FRAMES
    measured, seconds = readings.measurements, card.seconds(start, end)
    slack = max(0.02, plan.slack_s / seconds)
    by_events = partial(compare, source=EVENTS, relative=slack)
    yield by_events(LATENCY.name, told(measured, LATENCY.name), Told(seconds), unit="s")
    rate = Told(FRAMES / seconds)
    yield by_events(THROUGHPUT.name, told(measured, THROUGHPUT.name), rate, unit="frames/s")


def of_memory(plan: Plan, card: Card) -> Iterator[Row]:
    """Blocks that are taken and given back; a peak that the next call must not see."""
    block = plan.block_mib
    card.work(0.0)  # what it needs to be busy lies there before
    before = card.allocated_mib()
    with Profiler(card.device, settings=Settings(memory_rate_hz=50)).watch() as readings:
        blocks = [card.hold(block), card.hold(block // 2)]
        card.work(plan.burst_s)
        card.synchronise()
        held = card.held_mib()
        del blocks
    measured = readings.measurements
    peak = Told(None, CANNOT) if before is None else Told(before + block + block // 2)
    in_mib = partial(compare, unit="MiB", absolute=ROUNDING_MIB)
    yield in_mib(ALLOCATED.name, told(measured, ALLOCATED.name), peak, source=ARITHMETIC)
    map_of_it = "the allocator's map of its segments"
    yield in_mib(RESERVED.name, told(measured, RESERVED.name), Told(held, CANNOT), source=map_of_it)
    timeline = told(measured, TIMELINE.name)
    yield in_mib(f"{TIMELINE.name}, its highest", timeline, Told(held, CANNOT), source=map_of_it)
    yield _outside(card, told(measured, OUTSIDE.name))
    profiler = Profiler(card.device)
    with profiler.watch() as outer:
        taken = card.hold(block)
        del taken
        with profiler.watch() as inner:
            pass
    within, around = (told(one.measurements, ALLOCATED.name) for one in (inner, outer))
    yield in_mib(f"{ALLOCATED.name} of the next call", within, Told(before, CANNOT), source=ARITHMETIC)
    higher = Told(None, CANNOT) if before is None else Told(before + block)
    yield in_mib(f"{ALLOCATED.name} of the call around it", around, higher, source=ARITHMETIC)


def of_stages(plan: Plan, card: Card) -> Iterator[Row]:
    """Stages, steps and calls of a pipeline that notes them itself."""
    work = Work(short_s=plan.burst_s, step_s=plan.burst_s / 4, steps=8, decode_mib=plan.block_mib)
    pipeline = WorkingPipeline(card, work)
    card.work(0.0)
    before = card.allocated_mib()
    with Profiler(card.device).watch(pipeline) as readings:
        pipeline()
    measured = readings.measurements
    close = partial(compare, unit="s", relative=0.02, absolute=plan.slack_s)
    for stage in STAGES:
        name = TIMES[stage].name
        yield close(name, told(measured, name), Told(pipeline.stage_s(stage)), source="the pipeline's own events")
    calls = told(measured, DENOISER_CALLS.name)
    yield compare(DENOISER_CALLS.name, calls, Told(work.steps), source="the pipeline's own count")
    steps = told(measured, DENOISING_STEPS.name)
    yield compare(DENOISING_STEPS.name, steps, Told(work.steps), source="the pipeline's own count")
    parts = [told(measured, one.name).value for one in (*TIMES.values(), OTHER_TIME)]
    whole = sum(value for value in parts if isinstance(value, float))
    yield close("stages and the rest", Told(whole), told(measured, LATENCY.name), source="latency")
    series = next((one.series or () for one in measured if one.name == STEP_TIME.name), ())
    denoising = told(measured, TIMES[DENOISE].name)
    yield close("all steps", Told(sum(series)), denoising, source=TIMES[DENOISE].name)
    for stage, reading in ALLOCATED_IN_STAGE.items():
        taken = plan.block_mib if stage == DECODE else 0
        expected = Told(None, CANNOT) if before is None else Told(before + taken)
        yield compare(
            reading.name,
            told(measured, reading.name),
            expected,
            source=ARITHMETIC,
            unit="MiB",
            absolute=ROUNDING_MIB,
        )


def of_peaks(plan: Plan, card: Card) -> Iterator[Row]:
    """What `vdb hardware --measure` would keep, against the data sheet and against products timed by events."""
    effort = peaks.Effort(side=256, copied_mib=8, repeats=2) if plan.is_rehearsal else peaks.ON_A_GPU
    try:
        found = peaks.measure(card.device, card.name, effort)
    except (RuntimeError, VdbError) as error:
        yield Figure(what="highest rate of products", reason=f"not measured: {error}")
        return
    known, ours = hardware.find(card.name), Told(found.teraflops.get("bfloat16"), "no products in bfloat16")
    missing = f"hardware.toml has no {card.name}"
    sheet = Told(known.teraflops.get("bfloat16")) if known else Told(None, missing)
    yield _at_most("bfloat16 products, of the data sheet", ours, sheet, "TFLOP/s")
    speed = Told(known.gigabytes_per_s) if known else Told(None, missing)
    yield _at_most("copies, of the data sheet", Told(found.gigabytes_per_s), speed, "GB/s")
    rate = card.rate()
    by_events = Told(None, CANNOT) if rate is None else Told(rate / 1e12)
    # One product at a time by the clock of the host, many in a row by events: a card that heats up does less.
    yield compare("bfloat16 products", ours, by_events, source=EVENTS, unit="TFLOP/s", relative=0.25)


def _at_most(what: str, ours: Told, sheet: Told, unit: str) -> Check:
    """Between a third of what the data sheet says and a little more: consumer cards are clocked above it."""
    checked = compare(what, ours, sheet, source="data sheet", unit=unit)
    if not isinstance(ours.value, float) or not isinstance(sheet.value, float | int):
        return checked
    share = ours.value / sheet.value
    reason = f"{share:.0%} of it; 33% to 115% is possible"
    return Check(
        what=what,
        ours=ours.value,
        second=sheet.value,
        unit=unit,
        source="data sheet",
        passed=1 / 3 <= share <= 1.15,
        reason=reason,
    )


def _outside(card: Card, ours: Told) -> Check:
    """The driver's program shows what all take of a card, without what the driver keeps for itself."""
    used = smi.number(smi.asked(("memory.used",), str(uuid_of(card).value))["memory.used"])
    held = card.held_mib()
    second = Told(None, f"{smi.SOURCE} does not tell") if used is None or held is None else Told(used - held)
    source = f"{smi.SOURCE}, without what the allocator holds"
    return compare(OUTSIDE.name, ours, second, source=source, unit="MiB", absolute=OTHERS_MIB)


def _kept_by_driver(card: Card, total: Told) -> Check:
    """`fits_on` assumes that the driver keeps no more of a card than this."""
    what, source = "most that the driver keeps", "NVML's total without CUDA's"
    given, shown = card.total_mib(), total.value
    if given is None or not isinstance(shown, float | int):
        return Check(what=what, unit="MiB", source=source, reason=CANNOT)
    most, kept = KEPT_MIB + KEPT_SHARE * shown, shown - given
    return Check(what=what, ours=most, second=kept, unit="MiB", source=source, passed=0 <= kept <= most)


def _divided(card: Card) -> str | None:
    """`yes` or `no`, as the profiler sees it; None where it cannot."""
    try:
        with Cards(cards_in_use(card.device)) as cards:
            return "yes" if cards.why_shared() else "no"
    except CannotTell:
        return None


def _mig_word(text: str | None) -> str | None:
    return None if text is None else "yes" if text == "Enabled" else "no"
