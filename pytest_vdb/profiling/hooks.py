"""Watching calls of somebody else's objects: an attribute of their own for a while, then as they were.

The result of a watched call does not change by a bit, nor does what asks for its signature. A copy that is made of a
watched object meanwhile, as some pipelines do with their scheduler, is watched for itself, and afterwards it is plain.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

_ABSENT: Any = object()


class Watched:
    """A method of one object, with `around` called in its place.

    Args:
        owner: the object.
        name: of the method.
        around: called with the method and its arguments; returns what the method returns.
        copies: takes the copies that are made of the object meanwhile: they are watched, too.
    """

    def __init__(self, owner: Any, name: str, around: Callable[..., Any], copies: list[Any]) -> None:
        self._owner = owner
        self._name = name
        self._call = getattr(owner, name)
        self._around = around
        self._copies = copies
        self.__name__ = name
        self.__wrapped__ = self._call  # some pipelines pass on what the signature of `step` names

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """What the method returns."""
        return self._around(self._call, *arguments, **named)

    def __deepcopy__(self, memo: dict[int, Any]) -> Watched:
        """A copied scheduler steps itself, not the one that it was copied from."""
        copied = memo.get(id(self._owner))
        if copied is None:  # what is copied is not the object but what it holds
            return self
        self._copies.append(copied)
        return Watched(copied, self._name, self._around, self._copies)


class Hooks:
    """What is watched, until it is taken off, as a block does at its end.

    They are put on and taken off around every timed call, by code that no cache holds any more: few lines are quick.
    """

    def __init__(self) -> None:
        self._before: list[tuple[dict[str, Any], str, Any]] = []
        self._copies: list[tuple[str, list[Any]]] = []

    def __enter__(self) -> Hooks:
        """As it is."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take them off, also after an exception."""
        self.off()

    def method(self, owner: Any, name: str, around: Callable[..., Any]) -> None:
        """Watch a method, where there is one, also of the copies that are made of its object."""
        if callable(getattr(owner, name, None)):
            copies: list[Any] = []
            self._copies.append((name, copies))
            self._replace(owner, name, Watched(owner, name, around, copies))

    def module(self, module: Any, around: Callable[..., Any]) -> None:
        """Watch the calls of a torch module, eager or compiled: its `__call__` asks for this attribute first."""
        call = getattr(module, "_compiled_call_impl", None) or getattr(module, "_call_impl", None)
        if call is not None:
            self._replace(module, "_compiled_call_impl", functools.partial(around, call))

    def off(self) -> None:
        """Give every object back what it had, or nothing of its own; the last that was put on first."""
        while self._before:
            attributes, name, before = self._before.pop()
            if before is _ABSENT:
                attributes.pop(name, None)
            else:
                attributes[name] = before
        while self._copies:
            name, copies = self._copies.pop()
            for copied in copies:
                vars(copied).pop(name, None)

    def _replace(self, owner: Any, name: str, value: Any) -> None:
        attributes = vars(owner)
        self._before.append((attributes, name, attributes.get(name, _ABSENT)))
        attributes[name] = value
