"""Watching calls of somebody else's objects: an attribute of their own for a while, then as they were.

The result of a watched call does not change by a bit, nor does what asks for its signature. A copy that is made of a
watched object meanwhile, as some pipelines do with their scheduler, is watched for itself, and afterwards it is plain.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


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
        functools.update_wrapper(self, self._call)  # some pipelines pass on what the signature of `step` names

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


@contextmanager
def watched_method(owner: Any, name: str, around: Callable[..., Any]) -> Iterator[None]:
    """Watch a method, where there is one, also of the copies that are made of its object."""
    if not callable(getattr(owner, name, None)):
        yield
        return
    copies: list[Any] = []
    try:
        with replaced(owner, name, Watched(owner, name, around, copies)):
            yield
    finally:
        for copied in copies:
            vars(copied).pop(name, None)


@contextmanager
def watched_module(module: Any, around: Callable[..., Any]) -> Iterator[None]:
    """Watch the calls of a torch module, eager or compiled: its `__call__` asks for this attribute first."""
    call = getattr(module, "_compiled_call_impl", None) or getattr(module, "_call_impl", None)
    if call is None:
        yield
        return
    with replaced(module, "_compiled_call_impl", functools.partial(around, call)):
        yield


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Give an object an attribute of its own for a while; afterwards it has what it had before, or none of its own."""
    absent = object()
    before = vars(owner).get(name, absent)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is absent:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
