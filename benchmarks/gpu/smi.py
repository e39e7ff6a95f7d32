"""The second source of most sensors: `nvidia-smi`, the driver's own program. Units: W, MiB, MHz, °C, %.

What it does not tell (no such program, a slice of a card, a field that this driver does not know) is None.
"""

from __future__ import annotations

import csv
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

PROGRAM = "nvidia-smi"
SOURCE = "nvidia-smi"
SECONDS_TO_ANSWER = 10.0
"""It takes seconds where the driver keeps no card awake (persistence mode is off)."""
PERIOD_S = 0.1
"""Between two calls, each of which takes as long."""
THROTTLING = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
"""The field of drivers since 535, and that of earlier ones."""


def asked(fields: Sequence[str], uuid: str) -> dict[str, str | None]:
    """Fields of a card, each as it is written; one that the driver does not know loses itself alone."""
    output = _output_of_smi(_gpu_query(fields, uuid))
    values = _first_row(output)
    if len(values) == len(fields):
        return dict(zip(fields, map(_known_text, values), strict=True))
    if output is None or len(fields) == 1:
        return dict.fromkeys(fields)
    return {name: value for one in fields for name, value in asked([one], uuid).items()}


def number(text: str | None) -> float | None:
    """`81559` -> 81559.0; None for what is no number."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def first_known(fields: Iterable[str], uuid: str) -> tuple[str | None, str | None]:
    """The first field that this driver knows, and its value."""
    for name in fields:
        if (value := asked([name], uuid)[name]) is not None:
            return name, value
    return None, None


def memory_of_process(pid: int) -> float | None:
    """MiB that a process takes of all cards; None where it is not shown, as in most containers."""
    output = _output_of_smi([PROGRAM, "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"])
    rows = csv.reader((output or "").splitlines(), skipinitialspace=True)
    taken = [number(row[1]) for row in rows if len(row) == 2 and row[0] == str(pid)]
    return None if not taken or None in taken else sum(one for one in taken if one is not None)


@dataclass(slots=True)
class Seen:
    """One line of a watch."""

    at_s: float
    values: Mapping[str, float | None]


class Watch:
    """Asks again and again while a block runs: one call after another, for a loop of its own may keep its lines back.

    Args:
        fields: numbers only.
        uuid: of the card.
    """

    def __init__(self, fields: Sequence[str], uuid: str) -> None:
        self.seen: list[Seen] = []
        self._fields = fields
        self._command = _gpu_query(fields, uuid)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(SECONDS_TO_ANSWER)

    def values(self, name: str, start_s: float, end_s: float) -> list[float]:
        """What was told between two moments of `time.perf_counter`."""
        within = (one.values[name] for one in self.seen if start_s <= one.at_s <= end_s)
        return [value for value in within if value is not None]

    def of(self, name: str, start_s: float, end_s: float, how: Callable[[list[float]], float]) -> float | None:
        """The mean, say, of what was told; None where nothing was."""
        values = self.values(name, start_s, end_s)
        return how(values) if values else None

    def _ask(self) -> None:
        while not self._done.is_set():
            asked_s = time.perf_counter()
            values = _first_row(_output_of_smi(self._command))
            if len(values) != len(self._fields):
                return
            middle_s = (asked_s + time.perf_counter()) / 2
            numbers = (number(_known_text(value)) for value in values)
            self.seen.append(Seen(middle_s, dict(zip(self._fields, numbers, strict=True))))
            self._done.wait(PERIOD_S)


def _gpu_query(fields: Sequence[str], uuid: str) -> list[str]:
    return [PROGRAM, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits", f"--id={uuid}"]


def _first_row(output: str | None) -> list[str]:
    return next(csv.reader((output or "").splitlines(), skipinitialspace=True), [])


def _output_of_smi(command: Sequence[str]) -> str | None:
    """Nothing where it refuses; None where there is no such program, or where it hangs: who asks again waits again."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_TO_ANSWER, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else ""


def _known_text(value: str) -> str | None:
    """`[N/A]`, `[Not Supported]`, `[Insufficient Permissions]`, `N/A` are no values."""
    text = value.strip()
    return None if not text or text.startswith("[") or text == "N/A" else text
