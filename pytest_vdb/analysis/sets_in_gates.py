"""What a gate knows of a set metric: both runs' clips, where what the networks saw in them was kept, or two bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_vdb.analysis.decisions import Evidence, Swapping, error_of_sets
from pytest_vdb.analysis.readings import is_of_set
from pytest_vdb.errors import CannotMeasure, RecordError
from pytest_vdb.records import PairKey, Record

if TYPE_CHECKING:
    from pytest_vdb.analysis.paired_sets import SetChange, SetsOfRuns

_Interval = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class ClipsOfBoth:
    """Of one set metric of one model."""

    change: SetChange | None
    """Over the clips that both runs share; None: they cannot be looked at."""
    why_not: str = ""

    def evidence(self, worse: float, margin: float, before: _Interval, now: _Interval, *, either: bool) -> Evidence:
        """What they show.

        Args:
            worse: by how much it got worse, in the metric's unit.
            margin: how much worse it may get.
            before, now: each side's own bar, over all of its clips.
            either: whether both directions are worse.
        """
        plain = Evidence(way="sets", margin=margin, worse={None: worse}, either=either)
        of_bars = error_of_sets(before, now)
        if self.change is None:
            return replace(plain, error=of_bars)
        prompts = self.change.prompts
        swapping = Swapping(prompts, self.change.p)
        if (found := self.change.error) is None:
            few = f"{prompts} prompt{'' if prompts == 1 else 's'}: too few to say how sure it is"
            return replace(plain, swapping=swapping, why_unsure=few)
        return replace(plain, swapping=swapping, error=found.error, error_to_pass=of_bars, degrees=found.degrees)

    @property
    def in_words(self) -> str:
        """What was compared."""
        if self.change is None:
            return f"; by either side's bar alone: {self.why_not}" if self.why_not else ""
        return f" over {self.change.clips} clip{'' if self.change.clips == 1 else 's'} of each"


def clips_of_both(
    metric: str,
    before: Sequence[Record],
    now: Sequence[Record],
    pairs: Sequence[PairKey],
    sets: Callable[[], SetsOfRuns] | None,
    *,
    version: str,
    unchanged: bool,
) -> ClipsOfBoth:
    """What can be known of a set metric.

    Args:
        metric: its name.
        before, now: records of one model in one benchmark.
        pairs: whose values are compared; with several the model was run with several parameters.
        sets: what the networks saw; None: nobody looked.
        version: of the metric in both runs.
        unchanged: whether no value differs: then nobody needs to look.
    """
    if sets is None or unchanged or len(pairs) > 1:
        return ClipsOfBoth(None)
    parameters = pairs[0][2]
    samples = [[r for r in side if not is_of_set(r) and r.pair[2] == parameters] for side in (before, now)]
    try:
        change = sets().changed(metric, *samples)
    except (CannotMeasure, RecordError) as error:
        return ClipsOfBoth(None, error.what)
    if change.now.version != version:
        return ClipsOfBoth(None, f"its version is {version} in both runs, and {change.now.version} here")
    return ClipsOfBoth(change)
