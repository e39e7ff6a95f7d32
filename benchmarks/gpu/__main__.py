"""Runs the parts in their order, whatever becomes of each, and keeps what they found.

Exit status: 0, or 1 where a probe disagrees with its second source or a part could not be done; without a card a
rehearsal checks that everything that would be called is there.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from pytest_vdb.profiling import threads
from pytest_vdb.results import environment

from . import report as reports
from .cards import Card, Processor, card_here
from .plan import MINUTES, ON_A_CARD, REHEARSAL, SECONDS_OF_PARTS, Plan, Time
from .report import Part, Report
from .rows import Row

KEPT = Path("docs/gpu")
GRACE_S = 5.0
"""For the page to be written before the time is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asked for."""

    minutes: float
    output: Path | None
    rehearsal: bool


@dataclass(slots=True)
class Found:
    """What there is so far; another thread may ask for it when the time is over."""

    card: Card
    plan: Plan
    time: Time
    parts: list[Part] = field(default_factory=list)
    running: str | None = None
    rows: list[Row] = field(default_factory=list)
    began_s: float = 0.0

    def report(self, cut: str | None = None) -> Report:
        """All of it; `cut` is why the part that is running does not end."""
        parts = list(self.parts)
        if self.running is not None:
            parts.append(Part.of(self.running, self.time.spent_s() - self.began_s, self.rows, cut=cut))
        return reports.private(
            Report(
                rehearsal=self.plan.is_rehearsal,
                card=self.card.name,
                date=f"{datetime.now(UTC):%Y-%m-%d}",
                minutes=self.time.in_all_s / 60,
                seconds=round(self.time.spent_s(), 3),
                environment=environment.capture(self.card.device),
                parts=tuple(parts),
            )
        )


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    asked = _gpu_run_asked(arguments)
    time = Time(asked.minutes)
    card, why = (None, "a rehearsal was asked for") if asked.rehearsal else card_here()
    if card is None:
        print(f"No GPU is checked: {why}. A rehearsal shows that everything that would be called is there.", flush=True)
        threads.use_one_thread()  # tiny networks are fastest so
        return run(Found(Processor(), REHEARSAL, time), asked.output)
    print(f"{card.name}: at most {asked.minutes:g} minutes", flush=True)
    return run(Found(card, ON_A_CARD, time), asked.output)


def run(found: Found, output: Path | None) -> int:
    """All parts on a card; prints and keeps the page, and returns the exit status."""
    with _place_of_results(found.plan, output) as folder, _ended_in_time(found, folder):
        try:
            for name in SECONDS_OF_PARTS:
                _run_part(name, found)
        except KeyboardInterrupt:
            return _keep(found.report("stopped by hand"), folder)
        return _keep(found.report(), folder)


def _run_part(name: str, found: Found) -> None:
    """One part: an error in it loses what it had not found yet, and nothing else."""
    found.running, found.rows, found.began_s = name, [], found.time.spent_s()
    failed = None
    try:
        part = importlib.import_module(f"{__package__}.{name}")
        for row in part.rows(found.plan, found.card, partial(found.time.left_s, name)):
            found.rows.append(row)
    except Exception as error:  # noqa: BLE001 - the others matter as much
        failed = f"{type(error).__name__}: {error}"
    found.parts.append(Part.of(name, found.time.spent_s() - found.began_s, found.rows, failed=failed))
    found.running = None
    print(f"  {name}: {found.parts[-1].seconds:.1f} s{f', failed: {failed}' if failed else ''}", flush=True)


@contextlib.contextmanager
def _place_of_results(plan: Plan, output: Path | None) -> Iterator[Path]:
    """Where the page goes; that of a rehearsal is thrown away, and never lies among the others."""
    if not plan.is_rehearsal:
        yield output or KEPT
        return
    if output is not None and output.resolve() == KEPT.resolve():
        sys.exit(f"--output: a rehearsal is no result, so it is not kept in {KEPT.as_posix()}")
    with TemporaryDirectory() as folder:
        yield output or Path(folder)


@contextlib.contextmanager
def _ended_in_time(found: Found, folder: Path) -> Iterator[None]:
    """When the time is over, what there is is kept and the process ends, whatever it waits for."""

    def end() -> None:
        cut = f"the {found.time.in_all_s / 60:g} minutes were over"
        os._exit(_keep(found.report(cut), folder))

    timer = threading.Timer(max(found.time.in_all_s - GRACE_S, 1.0), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _keep(report: Report, folder: Path) -> int:
    paths = reports.write(report, folder)
    print(f"\n{reports.page(report)}", flush=True)
    if not report.rehearsal:
        print(f"kept in {' and '.join(path.as_posix() for path in paths)}", flush=True)
    return 1 if report.failed else 0


def _gpu_run_asked(arguments: list[str] | None) -> Asked:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="at most (default: %(default)g)")
    parser.add_argument("--output", type=Path, help=f"where the page is kept (default: {KEPT})")
    parser.add_argument("--rehearsal", action="store_true", help="on the processor, also where there is a card")
    given = parser.parse_args(arguments)
    if given.minutes <= 0:
        parser.error("--minutes: there must be some")
    return Asked(minutes=given.minutes, output=given.output, rehearsal=given.rehearsal)


if __name__ == "__main__":
    sys.exit(main())
