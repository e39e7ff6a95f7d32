"""This model, this prompt, this sample -> a record: a whole benchmark in one call, for whoever has no test to write."""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_vdb.bench.bench import Bench, failure_of, ran_out_of_memory
from pytest_vdb.errors import CannotRunHere, FailedBefore

if TYPE_CHECKING:
    from pytest_vdb.bench.session import Session
    from pytest_vdb.records import Prompt, Record, Status

BENCHMARK = "answer"
"""The benchmark of these records."""


def answered(session: Session, model: str, prompt: Prompt, sample_index: int = 0) -> Record:
    """Generate a clip, check it and measure it.

    Args:
        session: one with `refuse` for models that cannot run, as it is by default.
        model: its name.
        prompt: the input.
        sample_index: which sample of the prompt: it decides the seed.

    Returns:
        The record, whatever became of it: what a model raises is in it, never raised here.

    Raises:
        UnknownName: no such model.
        RecipeError: a setting that the model cannot follow.
    """
    seed = session.seed(prompt, sample_index)
    blank = replace(
        session.about(model),
        nodeid=f"{BENCHMARK}[{model}, {prompt.id}, {sample_index}]",
        benchmark=BENCHMARK,
        prompt=prompt.id,
        prompt_text=prompt.text,
        category=prompt.category,
        sample_index=sample_index,
        seed=seed,
    )
    bench = Bench(session, blank.nodeid, blank, seed)
    try:
        sample = bench.generate(model, prompt, seed)
        bench.check(sample)
        bench.measure(sample)
    except Exception as error:  # noqa: BLE001 - a failure is data: it is the record's
        record = bench.to_record(_status_of_error(error), failure_of(error, traceback.format_exc()))
    else:
        record = bench.to_record("passed")
    assert record is not None
    return record


def _status_of_error(error: Exception) -> Status:
    if isinstance(error, FailedBefore):
        return "not_run"
    if isinstance(error, CannotRunHere):
        return "skipped"
    return "oom" if ran_out_of_memory(error) else "failed"
