"""Arguments end at the door: what argparse read becomes a frozen object with typed fields, and no command sees more."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Generic, TypeVar, get_type_hints

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Command(Generic[A]):
    """What a subcommand does, and what it is handed. Each one's parser keeps its own as the default of `command`."""

    arguments: type[A]
    """A frozen dataclass whose fields are called as the parser's arguments are."""
    run: Callable[[A], int]
    """Returns the exit status."""
    refused: int = 1
    """The exit status where it ends in an error that is said."""
    takes_pytest: bool = False
    """Whether what its parser does not know is pytest's: its field `pytest`."""
    hears_signals: bool = False
    """Whether it is a session of pytest, which ends by signals in its own way."""
    leaves_at_once: bool = False
    """Whether all that is left to do at its end is to take apart what it has read, a million records one by one."""

    def answer(self, given: Mapping[str, Any]) -> int:
        """Run it on what was typed."""
        return self.run(frozen(self.arguments, given))


@dataclass(frozen=True, slots=True)
class Nothing:
    """A command without arguments."""


def frozen(kind: type[A], given: Mapping[str, Any]) -> A:
    """The fields of `kind` by their names: lists as tuples, a field that is such an object itself from the same names.

    What the parser does not have takes the field's default.
    """
    types = get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]  # a dataclass, as `Command` says
        if is_dataclass(types[field.name]):
            values[field.name] = frozen(types[field.name], given)
        elif field.name in given:
            value = given[field.name]
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


class Joined(argparse.Action):
    """Several words of a command line are one list of names: `vdb estimate a b` is `vdb estimate a,b`."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:  # noqa: ARG002
        """Keep them, with commas; a default is a text already."""
        setattr(namespace, self.dest, values if isinstance(values, str) else ",".join(values))
