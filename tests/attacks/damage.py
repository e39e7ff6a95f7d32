"""How files are damaged: bytes, JSON, lines of JSON, tables, archives of arrays, safetensors. Chances decide."""

from __future__ import annotations

import json
import random
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Chance = random.Random

BEYOND_JSON = {"1e400": "1e400", "digits": "7" * 5000, "nesting": "[" * 5000 + "]" * 5000}
"""What Python's `json` would not write: numbers without end and brackets without bottom."""


def _token(name: str) -> str:
    return f"@{name}@"


NUMBERS = (0, -1, 1, 0.1, -0.0, 2**31, 2**63, 2**64, 10**30, 1e308, -1e308, 5e-324, *map(float, ("nan", "inf", "-inf")))
PLACES = ("../../../etc/passwd", "/etc/passwd", "a/b", ".", "..", "nope/../run.json", "a\\b")
TEXTS = (
    *("", " ", "-", "1", "nan", "\n", "١٢", "a" * 300, "x" * 10_000, "\0", "a\0b", "\ud800", "\u202egnp.exe"),
    *("\x1b[31mred", "<script>alert(1)</script>", "=1+1"),
)
NESTED: tuple[Any, ...] = (
    [],
    {},
    [[]],
    [None],
    [1, "a"],
    [float("nan")] * 3,
    {"": None},
    {"value": None},
    {"a": {"b": {}}},
)
WRONG = (None, True, False, *NUMBERS, *PLACES, *TEXTS, *NESTED, *map(_token, BEYOND_JSON))
"""What stands where something else was expected."""


# JSON -----------------------------------------------------------------------------------------------------------------


def written(value: object) -> str:
    """As JSON, and more than JSON."""
    text = json.dumps(value, ensure_ascii=False)
    for name, meant in BEYOND_JSON.items():
        text = text.replace(f'"{_token(name)}"', meant)
    return text


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in it."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from _paths(part, (*path, key))


def damaged_value(value: Any, chance: Chance) -> Any:
    """Another value, key or length in one to four places."""
    value = json.loads(json.dumps(value))
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        paths = list(_paths(value))
        if not paths:
            return chance.choice(WRONG)
        *above, key = chance.choice(paths)
        at = value
        for step in above:
            at = at[step]
        match chance.choices(["replace", "remove", "add"], [7, 1, 2])[0]:
            case "replace":
                at[key] = chance.choice(WRONG)
            case "remove":
                del at[key]
            case "add" if isinstance(at, dict):
                at[chance.choice(["", "x" * 300, "\0", "text", "schema", "id", "name"])] = chance.choice(WRONG)
            case "add":
                at.extend(at[:3] * chance.choice([1, 50]))
    return value


def _with_a_key_twice(text: str, chance: Chance) -> str:
    keys = re.findall(r'"(\w+)":', text)
    if not keys:
        return text
    key = f'"{chance.choice(keys)}":'
    return text.replace(key, f"{key} {written(chance.choice(WRONG))}, {key}", 1)


def _damaged_text(text: str, chance: Chance) -> str:
    if chance.random() < 0.15:
        return _with_a_key_twice(text, chance)
    return written(damaged_value(json.loads(text), chance))


def damaged_json(data: bytes, chance: Chance) -> bytes:
    """One document."""
    return _encoded(_damaged_text(data.decode(), chance)) if chance.random() < 0.75 else damaged_bytes(data, chance)


def damaged_lines(data: bytes, chance: Chance) -> bytes:
    """One line of many."""
    if chance.random() < 0.3:
        return damaged_bytes(data, chance)
    lines = data.decode().splitlines()
    at = chance.randrange(len(lines))
    lines[at] = _damaged_text(lines[at], chance)
    return _encoded("\n".join(lines) + "\n")


# Bytes and tables -----------------------------------------------------------------------------------------------------


def _flip(data: bytearray, at: int, chance: Chance) -> None:
    if data:
        data[at % len(data)] ^= 1 << chance.randrange(8)


def _cut(data: bytearray, at: int, chance: Chance) -> None:
    del data[at:]


def _insert(data: bytearray, at: int, chance: Chance) -> None:
    data[at:at] = chance.choice([chance.randbytes(chance.choice([1, 4, 100])), bytes(chance.choice([1, 8]))])


def _drop(data: bytearray, at: int, chance: Chance) -> None:
    del data[at : at + chance.choice([1, 4, 100])]


def _repeat(data: bytearray, at: int, chance: Chance) -> None:
    data[at:at] = data[at : at + chance.choice([1, 10, 1000])]


def _mark(data: bytearray, at: int, chance: Chance) -> None:
    data[:0] = chance.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\0"])


def _end_lines_otherwise(data: bytearray, at: int, chance: Chance) -> None:
    data[:] = data.replace(b"\n", chance.choice([b"\r\n", b"\r"]))


def _encode_otherwise(data: bytearray, at: int, chance: Chance) -> None:
    text = data.decode("utf-8", "ignore")
    data[:] = text.encode(chance.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig"]))


def _scatter(data: bytearray, at: int, chance: Chance) -> None:
    for _ in range(chance.choice([2, 20]) if data else 0):
        data[chance.randrange(len(data))] = chance.choice([0, 0xFF, 0x80, *b'"{[\n', chance.randrange(256)])


BYTES = (_flip, _cut, _insert, _drop, _repeat, _mark, _end_lines_otherwise, _encode_otherwise, _scatter)


def damaged_bytes(data: bytes, chance: Chance) -> bytes:
    """One to five damages in a row."""
    made = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 5])):
        chance.choice(BYTES)(made, chance.randrange(len(made) + 1), chance)
    return bytes(made)


CELLS = (
    *("", '"', '""', '"a\nb"', "a,b", "\0", "\r", "\ud800", "=1+1", "text", "../x", "x" * 200_000),
    *("nan", "inf", "1e999", "-1", "9" * 5000),
)


def damaged_csv(data: bytes, chance: Chance) -> bytes:
    """One cell, or bytes."""
    if chance.random() < 0.5:
        return damaged_bytes(data, chance)
    rows = [line.split(",") for line in data.decode().splitlines()]
    row = chance.choice(rows)
    row[chance.randrange(len(row))] = chance.choice(CELLS)
    return _encoded("\n".join(map(",".join, rows)))


# Arrays and weights ---------------------------------------------------------------------------------------------------

OTHER_ARRAYS: tuple[Callable[[Any, Chance], Any], ...] = (
    lambda array, chance: array.astype(chance.choice(["S4", "U4", "c16", "f2", "i1", "?"]), casting="unsafe"),
    lambda array, chance: array.reshape(-1)[: chance.randrange(array.size + 1)],
    lambda array, chance: np.full(array.shape, chance.choice([np.nan, np.inf, 1e38, 0]), "f4"),
    lambda array, chance: np.array(0.0),
    lambda array, chance: np.zeros((0,), "f4"),
    lambda array, chance: np.zeros((3, 1000), "f4"),
    lambda array, chance: np.zeros((2, 1, 1, 3), "u1"),
    lambda array, chance: array[None],
    lambda array, chance: array[:1] if array.ndim else array,
    lambda array, chance: array[..., :2] if array.ndim else array,
    lambda array, chance: array.T,
    lambda array, chance: np.array([{"a": 1}, None], dtype=object),
    lambda array, chance: np.frombuffer(_encoded(written(chance.choice(WRONG))) or b"0", np.uint8),
    lambda array, chance: np.frombuffer(array.tobytes()[::-1] or b"0", np.uint8),
)


def damaged_array(array: Any, chance: Chance) -> Any:
    """Another shape, type or content."""
    if array.dtype.kind not in "fiu":
        return array[None]
    with np.errstate(all="ignore"):
        return chance.choice(OTHER_ARRAYS)(array, chance)


def damage_npy(source: Path, target: Path, chance: Chance) -> None:
    """Another array, or bytes."""
    if chance.random() < 0.5:
        np.save(target, damaged_array(np.load(source), chance), allow_pickle=True)
    else:
        target.write_bytes(damaged_bytes(source.read_bytes(), chance))


def damage_npz(source: Path, target: Path, chance: Chance) -> None:
    """Another array in it, one more or one less, or bytes."""
    if chance.random() < 0.45:
        target.write_bytes(damaged_bytes(source.read_bytes(), chance))
        return
    with np.load(source, allow_pickle=False) as archive:
        arrays = dict(archive)
    name = chance.choice(list(arrays))
    match chance.choices(["remove", "rename", "change"], [1, 1, 8])[0]:
        case "remove":
            del arrays[name]
        case "rename":
            arrays[chance.choice(["", "x/../y", "a/b/c", "features", "x" * 300])] = arrays.pop(name)
        case "change":
            arrays[name] = damaged_array(arrays[name], chance)
    with target.open("wb") as stream:
        np.savez(stream, **arrays)


def damaged_safetensors(data: bytes, chance: Chance) -> bytes:
    """The length of the header, the header, one tensor in it, or bytes."""
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    tensor = header[chance.choice([name for name in header if name != "__metadata__"])]
    match chance.choices(["bytes", "length", "cut", "header", "offsets", "shape", "dtype"], [1, 1, 1, 3, 1, 1, 1])[0]:
        case "bytes":
            return damaged_bytes(data, chance)
        case "length":
            return struct.pack("<Q", chance.choice([0, 1, 2**20, 2**40, 2**63, 2**64 - 1])) + data[8:]
        case "cut":
            return data[: chance.choice([0, 1, 7, 8, 9, length, length + 8, len(data) - 1])]
        case "header":
            header = damaged_value(header, chance)
        case "offsets":
            tensor["data_offsets"] = chance.choice([[0, 2**62], [-1, 4], [8, 0], [0, 0], [0], "x"])
        case "shape":
            tensor["shape"] = chance.choice([[2**40, 2**40], [-1], [], [0], [1] * 100, "x"])
        case "dtype":
            tensor["dtype"] = chance.choice(["F64", "I8", "BOOL", "X", "", None, "F8_E4M3"])
    text = _encoded(written(header))
    return struct.pack("<Q", len(text)) + text + body
