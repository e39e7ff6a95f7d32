"""Reading votes: who preferred which of two clips, from our own page, from platforms, from other arenas.

A row is a vote where it names two sides and a choice. Columns are known by the names that those have who export them:

| from | sides | choice |
|---|---|---|
| `vdb arena` | `left`, `right`: tokens that its key knows | `choice` |
| Mechanical Turk's batch results | `Input.left`, `Input.right`, or `Input.model_a` and `_b` | `Answer.choice` |
| Prolific, beside a survey's columns | `left`, `right`, or `model_a`, `model_b` | `choice`, `preference`, `vote` |
| GenAI-Arena, Chatbot Arena | `models`, or `left_model`, `right_model`, or `model_a`, `model_b` | `type`, `winner` |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pytest_vdb.analysis.ratings import ID_COLUMNS, TEXT_COLUMNS
from pytest_vdb.analysis.rows import Line, lines_of_table, names_of_columns, quoted_value
from pytest_vdb.errors import RecordError

Choice = Literal["left", "right", "tie"]
CHOICES: tuple[Choice, ...] = get_args(Choice)

_SIDES = (("left", "right"), ("model_a", "model_b"), ("left_model", "right_model"), ("a", "b"), ("models", "models"))
_CHOICE_COLUMNS = ("choice", "winner", "vote", "vote_type", "preference", "type", "label")
_RATER_COLUMNS = (
    "rater",
    "WorkerId",
    "PROLIFIC_PID",
    "Participant id",
    "worker_id",
    "participant_id",
    "user",
    "judge",
    "judge_hash",
    "ip",
)
_GIVEN, _ANSWERED = "Input.", "Answer."
"""How Mechanical Turk's columns begin."""
_STATUS, _REJECTED = "AssignmentStatus", "Rejected"
_WORDS: Mapping[str, Choice] = {
    **dict.fromkeys(("left", "a", "model_a", "leftvote", "left_model", "1", "first"), "left"),
    **dict.fromkeys(("right", "b", "model_b", "rightvote", "right_model", "2", "second"), "right"),
    **dict.fromkeys(
        ("tie", "tievote", "bothbad_vote", "bothbad", "bothgood", "tie (bothbad)", "both", "neither", "same", "equal"),
        "tie",
    ),
}
_NO_VOTES = frozenset({"chat", "regenerate", "upvote", "downvote", "flag", "share", "load", "clear"})
"""Rows of an arena's log that are something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a token of our page stands for."""

    model: str
    prompt: str | None
    is_degraded: bool = False
    """Made worse on purpose: whoever prefers it did not look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One rater's answer to one pair."""

    rater: str
    left: Shown
    right: Shown
    choice: Choice

    @property
    def is_check(self) -> bool:
        """Whether the answer was known."""
        return self.left.is_degraded or self.right.is_degraded

    @property
    def is_attentive(self) -> bool:
        """Of a check: whether the clip was preferred that was not made worse."""
        return self.choice == ("right" if self.left.is_degraded else "left")


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """The votes of files, and what was no vote."""

    votes: tuple[Vote, ...]
    left_out: Mapping[str, int]
    """Why, and how many rows."""


def read_votes(path: Path, key: Mapping[str, Shown] | None = None) -> Poll:
    """The votes of a CSV or JSONL in one of the layouts above.

    Args:
        path: the file.
        key: what the tokens of our page stand for; None: sides are called by their models.

    Raises:
        RecordError: a file that is missing, of no known layout, or with an answer or a token that nobody knows.
    """
    rows = lines_of_table(path)
    layout = _Layout.of(names_of_columns(rows), path)
    votes, left_out = [], Counter[str]()
    for row in rows:
        reason = layout.why_no_vote(row)
        if reason is not None:
            left_out[reason] += 1
            continue
        votes.append(layout.vote(row, path, key))
    return Poll(votes=tuple(votes), left_out=dict(left_out))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Which columns say what."""

    sides: tuple[str, str]
    choice: str
    rater: str | None
    prompt: str | None

    @classmethod
    def of(cls, columns: Sequence[str], path: Path) -> _Layout:
        sides = next((both for pair in _SIDES if None not in (both := _given(columns, pair))), None)
        choice = _first_of(columns, [*_CHOICE_COLUMNS, *(f"{_ANSWERED}{name}" for name in _CHOICE_COLUMNS)])
        answers = [name for name in columns if name.startswith(_ANSWERED)]
        choice = choice or (answers[0] if len(answers) == 1 else None)
        if sides is None or choice is None:
            lacking = "two sides" if sides is None else "the choice"
            mend = "name them left, right and choice, and the rater rater; the docs' page of the arena has every layout"
            raise RecordError(f"no columns for {lacking} among {', '.join(columns)}", where=path, mend=mend)
        prompt = next(filter(None, _given(columns, (*ID_COLUMNS, *TEXT_COLUMNS))), None)
        return cls(sides=sides, choice=choice, rater=_first_of(columns, _RATER_COLUMNS), prompt=prompt)

    def why_no_vote(self, row: Line) -> str | None:
        if row.cells.get(_STATUS) == _REJECTED:
            return "the assignment was rejected"
        choice = row.cells.get(self.choice)
        if choice is None or choice == "":
            return "no answer"
        return "no vote but another event of the log" if str(choice) in _NO_VOTES else None

    def vote(self, row: Line, path: Path, key: Mapping[str, Shown] | None) -> Vote:
        prompt = _said_in(row, self.prompt)
        left, right = self._names(row, path)
        return Vote(
            rater=_said_in(row, self.rater) or "unknown",
            left=_what_was_shown(left, prompt, key, row, path),
            right=_what_was_shown(right, prompt, key, row, path),
            choice=_side_chosen(row.cells[self.choice], left, right, row, path),
        )

    def _names(self, row: Line, path: Path) -> tuple[str, str]:
        left, right = self.sides
        if left != right:
            return row.text(left, path), row.text(right, path)
        both: Any = row.cells.get(left)
        if not (isinstance(both, list) and len(both) == 2 and all(isinstance(one, str) for one in both)):
            mend = "give a list of two names"
            raise RecordError(f"{left} is {quoted_value(both)}", where=row.place(path), mend=mend)
        return both[0], both[1]


def _given(columns: Sequence[str], names: Sequence[str]) -> tuple[Any, ...]:
    """The columns of these names, as they are or as what a task was given; None for each that is missing."""
    return tuple(_first_of(columns, (name, f"{_GIVEN}{name}")) for name in names)


def _first_of(columns: Sequence[str], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in columns), None)


def _said_in(row: Line, column: str | None) -> str | None:
    """As text, whatever it is; None: nothing."""
    value = None if column is None else row.cells.get(column)
    return None if value is None or value == "" else str(value)


def _what_was_shown(name: str, prompt: str | None, key: Mapping[str, Shown] | None, row: Line, path: Path) -> Shown:
    if key is None:
        return Shown(model=name, prompt=prompt)
    if name not in key:
        mend = "are these votes of another arena? give its folder"
        raise RecordError(f"the key knows no clip {quoted_value(name)}", where=row.place(path), mend=mend)
    return key[name]


def _side_chosen(value: object, left: str, right: str, row: Line, path: Path) -> Choice:
    """Which side a word means; a side may be called by its name."""
    word = str(value).strip()
    if left != right and word in {left, right}:
        return "left" if word == left else "right"
    found = _WORDS.get(word.lower())
    if found is None:
        mend = f"write one of {', '.join(CHOICES)}, or the side's name"
        raise RecordError(f"the choice is {quoted_value(value)}", where=row.place(path), mend=mend)
    return found
