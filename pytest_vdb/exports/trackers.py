"""What wandb and trackio share: one interface, in which a run has a configuration, logged steps and a summary."""

from __future__ import annotations

from typing import Any

from pytest_vdb.exports.summaries import Summarised

BY_PROMPT = "prompts"
"""The section in which each prompt's values are logged: a step is a prompt."""


def configuration(row: Summarised) -> dict[str, Any]:
    """Everything that is said of a row besides its figures."""
    return {
        **row.about,
        "settings": dict(row.row.recipe),
        "metrics": row.definitions,
        "prompts": list(row.prompts),
        "id": row.id,
    }


def logged(row: Summarised) -> list[dict[str, float]]:
    """What is logged at each step: a prompt's values."""
    return [{f"{BY_PROMPT}/{name}": value for name, value in found.items()} for _, _, found in row.steps()]
