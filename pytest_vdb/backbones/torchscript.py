"""The weights inside a TorchScript archive, read as data: nothing that the archive brings is run.

`torch.jit.load` runs the archive's own methods while it loads (a module's `__setstate__` may open any file), so it is
called nowhere. The archive is a zip: `data.pkl` says which module holds which tensor, `data/N` are their bytes, `code/`
is the text of the modules' classes. The pickle is taken apart by `pickletools`, which knows its opcodes and calls
nothing; what would have been a call is a note of who was to be called with what, and of all notes only those of plain
tensors are understood.
"""

from __future__ import annotations

import math
import pickletools
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb.budget import budget
from pytest_vdb.errors import WeightsBroken

if TYPE_CHECKING:
    import torch

DEEPEST = 64
"""Modules within modules; a module may be written so that it holds itself."""

LONGEST_CODE = 2**20
"""Bytes of one file of the archive's code that are looked at."""

_DTYPES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


def is_archive(path: Path) -> bool:
    """Whether a file is a TorchScript archive: a zip with constants, which a plain checkpoint has not."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The parameters and buffers of an archive by name, and beside each `running_var` the `eps` of its module.

    Raises:
        WeightsBroken: not such an archive, or one whose weights only its own code could bring back.
        TooLarge: more than the budget.
        Exception: what zipfile and pickletools raise for a torn file.
    """
    with zipfile.ZipFile(path) as archive:
        files = _Archive(archive, path)
        root = _unpickled(files.read("data.pkl"), path)
        if not isinstance(root, _Object):
            raise _not_understood(path, "its root is no module")
        return dict(_weights_of_script(root, "", files, ()))


@dataclass(frozen=True, slots=True)
class _Archive:
    """What the archive holds, below the folder that all of it lies in."""

    archive: zipfile.ZipFile
    path: Path
    _storages: dict[str, bytearray] = field(default_factory=dict)

    def read(self, name: str) -> bytes:
        """One file, within the budget of one input."""
        data = self._optional(name)
        if data is None:
            raise _not_understood(self.path, f"it holds no {name}")
        return data

    def code(self, module: str) -> str:
        """The text of the classes of a module; empty where the archive has none."""
        data = self._optional(f"code/{module.replace('.', '/')}.py")
        return "" if data is None else data[:LONGEST_CODE].decode("utf-8", "replace")

    def storage(self, key: str) -> bytearray:
        """The bytes that one or several tensors lie in, read once."""
        if key not in self._storages:
            if self._optional("byteorder") == b"big":
                raise _not_understood(self.path, "its numbers are big-endian")
            self._storages[key] = bytearray(self.read(f"data/{key}"))
        return self._storages[key]

    def _optional(self, name: str) -> bytes | None:
        root = self.archive.namelist()[0].partition("/")[0]
        try:
            member = self.archive.getinfo(f"{root}/{name}")
        except KeyError:
            return None
        budget().check(member.file_size, where=f"{self.path}:{name}")
        return self.archive.read(member)


# The pickle, as notes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Name:
    """`module.name`, which a real unpickler would import."""

    module: str
    name: str


@dataclass(frozen=True, slots=True)
class _Call:
    """What a real unpickler would call, and with what."""

    function: object
    arguments: object


@dataclass(frozen=True, slots=True)
class _Stored:
    """A reference to bytes beside the pickle."""

    reference: object


@dataclass(slots=True, eq=False)
class _Object:
    """A module of the archive, with the state that its class would have been given."""

    type: object
    state: object = None


class _Mark:
    """Where a tuple, list or dict begins on the stack."""


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_GETS = {"BINGET", "LONG_BINGET", "GET"}
_PUTS = {"BINPUT", "LONG_BINPUT", "PUT"}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_VALUES = {"BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}


def _unpickled(data: bytes, path: Path) -> object:
    """What a pickle as torch's writer makes it describes."""
    stack: list[Any] = []
    memo: dict[int, object] = {}
    argument: Any
    for opcode, argument, _ in pickletools.genops(data):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case name if name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            case name if name in _VALUES:
                stack.append(argument)
            case name if name in _GETS:
                stack.append(memo[argument])
            case name if name in _PUTS:
                memo[argument] = stack[-1]
            case name if name in _TUPLES:
                stack.append(tuple(_popped(stack, _TUPLES[name])))
            case "GLOBAL":
                stack.append(_Name(*argument.split(" ", 1)))
            case "MARK":
                stack.append(_Mark)
            case "TUPLE":
                stack.append(tuple(_down_to_mark(stack)))
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "APPEND" | "APPENDS":
                items = _popped(stack, 1) if opcode.name == "APPEND" else _down_to_mark(stack)
                stack[-1].extend(items)
            case "SETITEM" | "SETITEMS":
                items = _popped(stack, 2) if opcode.name == "SETITEM" else _down_to_mark(stack)
                stack[-1].update(_pairs(items))
            case "NEWOBJ":
                kind, _ = _popped(stack, 2)
                stack.append(_Object(kind))
            case "BUILD":
                (state,) = _popped(stack, 1)
                stack[-1].state = state
            case "REDUCE":
                stack.append(_Call(*_popped(stack, 2)))
            case "BINPERSID":
                stack.append(_Stored(stack.pop()))
            case name:
                raise _not_understood(path, f"its data uses {name}")
    raise _not_understood(path, "its data does not end")


def _popped(stack: list[Any], count: int) -> list[Any]:
    at = len(stack) - count
    taken = stack[at:]
    del stack[at:]
    return taken


def _down_to_mark(stack: list[Any]) -> list[Any]:
    at = len(stack) - 1 - stack[::-1].index(_Mark)
    taken = stack[at + 1 :]
    del stack[at:]
    return taken


def _pairs(items: list[Any]) -> Iterator[tuple[str, Any]]:
    """Attributes by name: what is not called by a string is no attribute of a module."""
    return ((key, value) for key, value in zip(items[::2], items[1::2], strict=True) if isinstance(key, str))


# Notes to tensors ----------------------------------------------------------------------------------------------------


def _weights_of_script(
    module: _Object, prefix: str, files: _Archive, above: tuple[_Object, ...]
) -> Iterator[tuple[str, torch.Tensor]]:
    """As a module's `state_dict` has them: its own parameters and buffers, then those of the modules in it, in order.

    Raises:
        WeightsBroken: a module that keeps its weights in a way of its own, or that holds itself.
    """
    where = prefix.rstrip(".") or "the archive"
    if not isinstance(module.state, dict):
        raise _not_understood(files.path, f"{where} keeps its weights by code of its own")
    if module in above or len(above) > DEEPEST:
        raise _not_understood(files.path, f"{where} holds itself")
    kind = _ScriptedClass.of(module, files)
    for name, value in module.state.items():
        if isinstance(value, _Call) and kind.keeps(name):
            yield prefix + name, _tensor(value, prefix + name, files)
            if name == "running_var":
                yield f"{prefix}eps", _epsilon(module.state, kind, where, files.path)
    for name, value in module.state.items():
        if isinstance(value, _Object):
            yield from _weights_of_script(value, f"{prefix}{name}.", files, (*above, module))


def _tensor(call: _Call, name: str, files: _Archive) -> torch.Tensor:
    """The tensor that `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...)` would have made.

    Raises:
        WeightsBroken: no plain dense tensor, or one that reaches beyond its bytes.
    """
    import torch

    match call:
        case _Call(
            _Name("torch._utils", "_rebuild_tensor_v2"),
            (
                _Stored(("storage", _Name("torch", storage), str(key), str(), int())),
                int(offset),
                tuple(size),
                tuple(stride),
                *_,
            ),
        ) if storage in _DTYPES:
            data, dtype = files.storage(key), getattr(torch, _DTYPES[storage])
            numbers = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
            # A view may repeat what it looks at without end; a weight never does.
            if all(isinstance(n, int) and n >= 0 for n in (*size, *stride, offset)) and math.prod(size) <= len(numbers):
                return numbers.as_strided(size, stride, offset)
    raise _not_understood(files.path, f"{name} is no plain tensor")


@dataclass(frozen=True, slots=True)
class _ScriptedClass:
    """What the archive's code says of a module's class, as text."""

    text: str

    @classmethod
    def of(cls, module: _Object, files: _Archive) -> _ScriptedClass:
        """The class's own lines of its file."""
        if not isinstance(module.type, _Name):
            return cls("")
        found = re.search(
            rf"^class {re.escape(module.type.name)}\(.*\n((?: .*\n|\n)*)", files.code(module.type.module), re.M
        )
        return cls(found[1] if found else "")

    def keeps(self, name: str) -> bool:
        """Whether an attribute is a parameter or buffer; where the code does not tell, it is."""
        lists = re.findall(r"^  __(?:parameters|buffers)__ = \[(.*?)\]", self.text, re.M | re.S)
        return not lists or any(f'"{name}"' in names for names in lists)

    def epsilon(self) -> str | None:
        """As a constant of the class (scripted), or as the last number of its call (traced)."""
        constant = re.search(r"^  eps : Final\[float\] = (\S+)$", self.text, re.M)
        called = re.search(r"torch\.batch_norm\([^()]*?,\s*([\d.e+-]+),\s*(?:True|False)\)", self.text)
        found = constant or called
        return found[1] if found else None


def _epsilon(state: dict[str, Any], kind: _ScriptedClass, where: str, path: Path) -> torch.Tensor:
    """Of a batch normalisation; never guessed, for the numbers behind it depend on it."""
    import torch

    given: Any = state.get("eps", kind.epsilon())
    try:
        return torch.tensor(float(given), dtype=torch.float64)
    except (TypeError, ValueError):
        raise _not_understood(path, f"{where} does not tell its epsilon") from None


def _not_understood(path: Path, why: str) -> WeightsBroken:
    return WeightsBroken(
        f"the TorchScript archive cannot be read without running its code: {why}",
        where=path,
        mend="save its state_dict() as .safetensors where you trust the archive's origin",
    )
