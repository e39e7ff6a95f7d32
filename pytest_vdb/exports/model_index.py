"""The Hub's `model-index`: results in the header of a model's README.md, which other pages and tools read there.

A README.md that lies in the place already keeps its text and what else its header says; results of the same metric on
the same suite are replaced. Nothing is uploaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_vdb import files
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.errors import RecordError
from pytest_vdb.escaping import file_names
from pytest_vdb.exports import hub
from pytest_vdb.exports.contract import Destination, Target, Written
from pytest_vdb.exports.summaries import Summarised, Summary

_TASKS = {"t2v": "text-to-video", "i2v": "image-to-video", "v2v": "video-to-video"}
"""What the Hub calls them."""


def _write_cards(board: Leaderboard, to: Destination) -> Written:
    told, left_out = hub.told(board)
    places = []
    for folder, (row, summaries) in zip(file_names([row.name for row, _ in told]), told, strict=True):
        path = files.expanded(to.place) / folder / "README.md"
        places.append(files.write(path, _card(path, row, _results(row, summaries, to.dataset))))
    return Written(
        places=tuple(map(str, places)),
        values=sum(len(summaries) for _, summaries in told),
        left_out=left_out,
        notes=("put each README.md into its model's repository: hf upload ORG/MODEL FOLDER",) if places else (),
    )


def _results(row: Summarised, summaries: Sequence[Summary], dataset: str | None) -> list[Any]:
    from huggingface_hub import EvalResult

    suite = row.about.get("suite") or row.table.name
    return [
        EvalResult(
            task_type=_TASKS.get(row.row.task or "", "other"),
            dataset_type=dataset or suite.partition("@")[0],
            dataset_name=suite,
            metric_type=summary.name,
            metric_name=f"{summary.name} ({hub.remark(row, summary)})",
            metric_value=summary.cell.mean,
        )
        for summary in summaries
    ]


def _card(path: Path, row: Summarised, results: list[Any]) -> str:
    """The card as it is, or a new one, with the results in its header."""
    from huggingface_hub import ModelCard, ModelCardData

    if files.is_file(path):
        text = files.read_text(path, error=RecordError)
        try:
            card = ModelCard(text)
        except ValueError as problem:
            raise RecordError(f"its header is no model card's: {problem}", where=path, mend="mend or move it") from None
        kept = [one for one in card.data.eval_results or [] if not any(map(_same_question(one), results))]
        card.data.eval_results = [*kept, *results]
        card.data.model_name = card.data.model_name or row.row.model
        return str(card)
    data = ModelCardData(model_name=row.row.model, eval_results=results)
    return f"---\n{data.to_yaml()}\n---\n\n# {row.name}\n"


def _same_question(one: Any) -> Any:
    """Whether another result is of the same metric, data set and task."""
    return lambda other: (one.unique_identifier, one.metric_type) == (other.unique_identifier, other.metric_type)


TARGET = Target(
    name="model-index",
    about="the Hub's model-index: a README.md per model with its results",
    place="FOLDER",
    default="exports/hub",
    write=_write_cards,
)
