"""The Hub's `.eval_results/*.yaml`: one file per model, to be put into the model's repository.

A result belongs to a data set of the Hub and one of its tasks (its `eval.yaml` names them): the task is the metric's
name. Source: https://huggingface.co/docs/hub/eval-results. Nothing is uploaded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_vdb import files
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.errors import OptionError
from pytest_vdb.escaping import file_names
from pytest_vdb.exports import hub
from pytest_vdb.exports.contract import Destination, Target, Written
from pytest_vdb.exports.summaries import Summarised, Summary

_FOLDER = ".eval_results"


def _write_eval_results(board: Leaderboard, to: Destination) -> Written:
    if to.dataset is None or not re.fullmatch(r"[\w.-]+/[\w.-]+", to.dataset):
        raise OptionError(
            "the Hub files results under the data set that holds the prompts" if to.dataset is None else to.dataset,
            where="--dataset",
            mend="give its name there: --dataset ORG/NAME",
        )
    told, left_out = hub.told(board)
    folders = file_names([row.name for row, _ in told])
    name = f"{to.dataset.partition('/')[2]}.yaml"
    places = [
        files.write(
            files.expanded(to.place) / folder / _FOLDER / name,
            _rendered_results(row, summaries, to.dataset),
        )
        for folder, (row, summaries) in zip(folders, told, strict=True)
    ]
    return Written(
        places=tuple(map(str, places)),
        values=sum(len(summaries) for _, summaries in told),
        left_out=left_out,
        notes=("put each folder into its model's repository: hf upload ORG/MODEL FOLDER",) if places else (),
    )


def _rendered_results(row: Summarised, summaries: Sequence[Summary], dataset: str) -> str:
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entries = [
        EvalResultEntry(
            dataset_id=dataset,
            task_id=summary.name,
            value=summary.cell.mean,
            date=row.run.started_at or None,
            notes=hub.remark(row, summary),
        )
        for summary in summaries
    ]
    text: str = yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)
    return text


TARGET = Target(
    name="eval-results",
    about="the Hub's .eval_results/*.yaml, a folder per model; needs --dataset",
    place="FOLDER",
    default="exports/hub",
    write=_write_eval_results,
)
