"""Which plots stand where: those of many models with the standings, those of one on its own page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_vdb.analysis.tables import Standings
from pytest_vdb.records import Measured, Record
from pytest_vdb.reporters.pages import markup
from pytest_vdb.reporters.plots.categories import heatmap_by_category
from pytest_vdb.reporters.plots.contract import Absent, Drawn, figure
from pytest_vdb.reporters.plots.lines import MEMORY, OVER_THE_CALL, frame_series, memory_timeline
from pytest_vdb.reporters.plots.radar import MOST_CHOSEN, radar
from pytest_vdb.reporters.plots.roofline import roofline
from pytest_vdb.reporters.plots.stages import stage_breakdown

_MOST_SERIES = 4
"""Metrics of a model's page that are drawn frame by frame; the cards of its clips have the others small."""


def plots_of_standings(standings: Standings, names: Mapping[int, str]) -> list[Any]:
    """What compares models, as markup: those that can be drawn, and then of the others why not."""
    table = standings.table
    found = [radar(table, names)] if standings.lead is not None else []
    found += [heatmap_by_category(table, names, standings.lead)] if standings.lead is not None else []
    return _as_markup([*found, stage_breakdown(table, names), roofline(table, names)])


def plots_of_model(standings: Standings, at: int, names: Mapping[int, str]) -> list[Any]:
    """What is about one line, as markup."""
    alone = {at: names[at]}
    lead, records = standings.lead, standings.lines[at].row.records
    ranked = lead is not None and standings.lines[at].places[lead] is not None
    ahead = list(range(min(at, MOST_CHOSEN - 1))) if ranked else []
    found = [radar(standings.table, names, [*ahead, at])] if ahead else []
    found += [stage_breakdown(standings.table, alone), roofline(standings.table, alone)]
    return _as_markup([*found, _first_timeline(records), *_series_of_first_clip(records)])


def _as_markup(every: Sequence[Drawn]) -> list[Any]:
    return [markup(figure(one)) for one in sorted(every, key=lambda one: isinstance(one, Absent))]


def _first_timeline(records: Sequence[Record]) -> Drawn:
    """Of the first call whose memory was looked at; else why there is none."""
    measured = Measured.of_all(records)
    looking = {metrics for metrics in {one.metrics for one in measured} if MEMORY in metrics.places}
    looked = (
        [record for record, one in zip(records, measured, strict=True) if one.metrics in looking] if looking else []
    )
    drawn = (one for one in map(memory_timeline, looked) if not isinstance(one, Absent))
    why_none = memory_timeline(records[0]) if records else Absent(title=OVER_THE_CALL, reason="no test left a record")
    return next(drawn, why_none)


def _series_of_first_clip(records: Sequence[Record]) -> list[Drawn]:
    """Metric by metric what it says of each frame, of the first prompt that has any such values, all of its samples."""
    for record, measured in zip(records, Measured.of_all(records), strict=True):
        special = measured.special
        if not special:  # as nearly all of a thousand
            continue
        metrics = [one.name for _, one in sorted(special.items()) if one.series and one.kind == "quality"]
        if metrics:
            alike = [one for one in records if (one.prompt, one.benchmark) == (record.prompt, record.benchmark)]
            names = [_name_of_sample(one) for one in alike]
            return [frame_series(metric, alike, names) for metric in metrics[:_MOST_SERIES]]
    return []


def _name_of_sample(record: Record) -> str:
    name = record.prompt or "no prompt"
    return f"{name}, sample {record.sample_index}" if record.sample_index else name
