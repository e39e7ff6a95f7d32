"""Prompt suites: the shipped ones by name, the user's own from JSONL, CSV or plain text.

A JSONL file may begin with a header, `{"suite": NAME, "version": VERSION}`; every other line is one prompt with `text`
and, if wanted, `id`, `category`, `tags`, `negative`, `image` and `video`. A CSV names the same fields in its first
line. A text file holds one prompt per line; blank lines and lines that begin with `#` are skipped. A `.json` file is
VBench's: a list of `{"prompt_en": TEXT, "dimension": [...]}`, whose dimensions become tags, the first one the category.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_vdb.errors import PromptError, UnknownName, near_misses
from pytest_vdb.records import Prompt, Suite, digest

SHIPPED = Path(__file__).parent / "suites"
FILE_KINDS = (".jsonl", ".json", ".csv", ".txt")
UNVERSIONED = "unversioned"

_FIELDS = ("id", "text", "category", "tags", "negative", "image", "video")

Line = tuple[int, dict[str, Any]]
"""Number of a line in its file, and the fields it gives."""


def suite_names() -> tuple[str, ...]:
    """The shipped suites."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.jsonl")))


def load(expression: str, *, root: Path) -> Suite:
    """Read a suite.

    Args:
        expression: a shipped suite or the path of a file, and after a colon, if wanted, a category or how many of the
            first prompts: `standard-100`, `standard-100:physics`, `smoke:2`, `mine.jsonl`, `mine.csv:8`.
        root: what relative paths are relative to.

    Raises:
        UnknownName: no such suite or category, with the near misses.
        PromptError: a file that is missing, empty or broken, with file, line and mend; or fewer prompts than asked for.
    """
    source, choice = _split(expression.strip(), Path(root))
    suite = _load_file(SHIPPED / f"{source}.jsonl") if isinstance(source, str) else _load_file(source)
    return suite if choice is None else _chosen(suite, choice)


def _split(expression: str, root: Path) -> tuple[str | Path, str | None]:
    """The suite's name or file, and what was chosen of it. A path may hold colons: what exists comes first."""
    head, colon, tail = expression.rpartition(":")
    attempts = [(expression, None), (head, tail)] if colon and head else [(expression, None)]
    for name, choice in attempts:
        if name in suite_names():
            return name, choice
        if name and (root / name).is_file():
            return root / name, choice
    name = head if colon and head else expression
    if Path(name).suffix.lower() in FILE_KINDS or "/" in name or "\\" in name:
        raise PromptError("there is no such prompt file", where=root / name, mend="check the path")
    raise UnknownName(
        "prompt suite",
        name,
        suite_names(),
        mend=f"Shipped: {', '.join(suite_names())}; or give a file ({', '.join(FILE_KINDS)}).",
    )


def _chosen(suite: Suite, choice: str) -> Suite:
    name = f"{suite.name}:{choice}"
    if choice.isdecimal():
        count = int(choice)
        if not 1 <= count <= len(suite.prompts):
            raise PromptError(
                f"{count} prompts asked for, the suite has {len(suite.prompts)}",
                where=name,
                mend=f"ask for 1 to {len(suite.prompts)}",
            )
        return replace(suite, name=name, prompts=suite.prompts[:count])
    prompts = tuple(prompt for prompt in suite.prompts if prompt.category == choice)
    if not prompts:
        categories = dict.fromkeys(prompt.category for prompt in suite.prompts)
        raise UnknownName("category", choice, categories, where=name, mend=f"It has: {', '.join(categories)}.")
    return replace(suite, name=name, prompts=prompts)


# Files --------------------------------------------------------------------------------------------------------------


def _load_file(path: Path) -> Suite:
    kind = path.suffix.lower()
    if kind not in FILE_KINDS:
        raise PromptError(f"a file of kind {kind!r}", where=path, mend=f"prompts are read from {', '.join(FILE_KINDS)}")
    text = _text(path)
    name, version = path.stem, UNVERSIONED
    if kind == ".jsonl":
        lines = list(_jsonl_lines(text, path))
        if lines and "suite" in lines[0][1]:
            header = lines.pop(0)[1]
            name, version = str(header["suite"]), str(header.get("version", UNVERSIONED))
    elif kind == ".json":
        lines = _vbench_entries(text, path)
    else:
        lines = list(_csv_lines(text, path) if kind == ".csv" else _text_lines(text))
    if not lines:
        raise PromptError("the file holds no prompt", where=path, mend="write one prompt per line")
    return Suite(name=name, version=version, prompts=_prompts(lines, path))


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PromptError(f"cannot be read: {error.strerror}", where=path, mend="check its permissions") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise PromptError("not UTF-8", where=f"{path}:{line}", mend="save the file as UTF-8") from None


def _jsonl_lines(text: str, path: Path) -> Iterator[Line]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise PromptError(
                f"not JSON: {error}",
                where=f"{path}:{number}",
                mend='write one object per line: {"text": "A red kite."}',
            ) from None
        if not isinstance(fields, dict):
            raise PromptError(
                f"{type(fields).__name__} instead of an object",
                where=f"{path}:{number}",
                mend='write {"text": "A red kite."}',
            )
        yield number, fields


def _vbench_entries(text: str, path: Path) -> list[Line]:
    """VBench's list of prompts; a prompt that stands there several times has all of its dimensions."""
    mend = 'write [{"prompt_en": "A red kite.", "dimension": ["scene"]}]'
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PromptError(f"not JSON: {error}", where=path, mend=mend) from None
    dimensions: dict[str, list[str]] = {}
    first: dict[str, int] = {}
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries], start=1):
        if not isinstance(entry, dict) or not isinstance(entry.get("prompt_en"), str):
            raise PromptError(f"entry {number} has no 'prompt_en'", where=path, mend=mend)
        named = entry.get("dimension", [])
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            raise PromptError(f"the dimension of entry {number} is {named!r}, no list", where=path, mend=mend)
        prompt = entry["prompt_en"].strip()
        first.setdefault(prompt, number)
        dimensions[prompt] = list(dict.fromkeys([*dimensions.get(prompt, []), *named]))
    return [
        (first[prompt], {"text": prompt, "category": next(iter(named), None), "tags": named})
        for prompt, named in dimensions.items()
    ]


def vbench_entries(suite: Suite) -> list[dict[str, Any]]:
    """The suite as VBench lists its prompts: the tags are the dimensions, or the category where there are none."""
    return [
        {"prompt_en": prompt.text, "dimension": list(prompt.tags or (prompt.category,))} for prompt in suite.prompts
    ]


def _csv_lines(text: str, path: Path) -> Iterator[Line]:
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if "text" not in (rows.fieldnames or ()):
            raise PromptError(
                f"the header names no 'text': {', '.join(rows.fieldnames or ()) or 'it is empty'}",
                where=f"{path}:1",
                mend=f"name the columns in the first line; known: {', '.join(_FIELDS)}",
            )
        for row in rows:
            if None in row or None in row.values():
                raise PromptError(
                    f"another number of columns than the header's {len(rows.fieldnames or ())}",
                    where=f"{path}:{rows.line_num}",
                    mend='put texts that hold a comma in double quotes: "A kite, red."',
                )
            if any(row.values()):
                yield rows.line_num, {key: value for key, value in row.items() if value or key == "text"}
    except csv.Error as error:
        raise PromptError(f"not CSV: {error}", where=f"{path}:{rows.line_num}", mend="close every quote") from None


def _text_lines(text: str) -> Iterator[Line]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, {"text": line.strip()}


# Prompts ------------------------------------------------------------------------------------------------------------


def _prompts(lines: list[Line], path: Path) -> tuple[Prompt, ...]:
    first_line: dict[str, int] = {}
    prompts = []
    for number, fields in lines:
        prompt = _prompt(fields, where=f"{path}:{number}", folder=path.parent)
        if prompt.id in first_line:
            raise PromptError(
                f"the id {prompt.id!r} is taken by line {first_line[prompt.id]}",
                where=f"{path}:{number}",
                mend="give each prompt an id (and a text) of its own",
            )
        first_line[prompt.id] = number
        prompts.append(prompt)
    return tuple(prompts)


def _prompt(fields: dict[str, Any], *, where: str, folder: Path) -> Prompt:
    for name in fields:
        if name not in _FIELDS:
            near = near_misses(str(name), _FIELDS)
            raise PromptError(
                f"unknown field {name!r}",
                where=where,
                mend=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_FIELDS)}",
            )
    text = _string(fields, "text", where)
    if text is None:
        raise PromptError("no text", where=where, mend='give the prompt as "text"')
    return Prompt(
        id=_string(fields, "id", where) or _derived_id(text),
        text=text,
        category=_string(fields, "category", where) or "uncategorised",
        tags=_tags(fields.get("tags"), where),
        negative=_string(fields, "negative", where),
        image=_file(_string(fields, "image", where), folder, where),
        video=_file(_string(fields, "video", where), folder, where),
    )


def _string(fields: dict[str, Any], name: str, where: str) -> str | None:
    """The field's text; None where it is absent or blank."""
    value = fields.get(name)
    if value is None:
        return None
    if name == "id" and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise PromptError(f"{name} is {value!r}, not text", where=where, mend=f"put the {name} in double quotes")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise PromptError(f"{name} holds half a character: {value!a}", where=where, mend="write it as UTF-8") from None
    return value.strip() or None


def _tags(value: Any, where: str) -> tuple[str, ...]:
    """A list, or words separated by commas, semicolons or spaces."""
    if value is None:
        return ()
    words = re.split(r"[,;\s]+", value) if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise PromptError(f"tags are {value!r}, not a list of words", where=where, mend='write ["fast", "water"]')
    return tuple(word for word in words if word)


def _derived_id(text: str) -> str:
    """An id that follows from the text alone, so that adding a line changes no other prompt's seed."""
    words = re.findall(r"[a-z0-9]+", text.lower())[:4]
    return "-".join([*words, digest(text, length=6)])


def _file(given: str | None, folder: Path, where: str) -> str | None:
    """The path of a conditioning file, relative to the prompt file that names it."""
    if given is None:
        return None
    path = folder / given
    if not path.exists():
        raise PromptError(f"there is no file {given!r}", where=where, mend=f"paths are relative to {folder}")
    return str(path.resolve())
