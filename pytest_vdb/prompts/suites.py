"""Prompt suites: the shipped ones by name, the user's own from JSONL, CSV or plain text.

A JSONL file may begin with a header, `{"suite": NAME, "version": VERSION}`; every other line is one prompt with `text`
and, if wanted, `id`, `category`, `tags`, `negative`, `image` and `video`. A CSV names the same fields in its first
line. A text file holds one prompt per line; blank lines and comments are skipped: `#` and a space, or `#` alone (a
prompt may begin with `#1`). A `.json` file is VBench's: a list of `{"prompt_en": TEXT, "dimension": [...]}`, whose
dimensions become tags, the first one the category; or VBench-I2V's, whose entries also have `image_name`, and
`image_type`, which becomes the category.
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

from pytest_vdb import files
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
    source, choice = _split_expression(expression.strip(), Path(root))
    suite = _load_file(SHIPPED / f"{source}.jsonl") if isinstance(source, str) else _load_file(source)
    return suite if choice is None else _chosen(suite, choice)


def _split_expression(expression: str, root: Path) -> tuple[str | Path, str | None]:
    """The suite's name or file, and what was chosen of it. A path may hold colons: what exists comes first."""
    head, colon, tail = expression.rpartition(":")
    attempts = [(expression, None), (head, tail)] if colon and head else [(expression, None)]
    for name, choice in attempts:
        if name in suite_names():
            return name, choice
        if name and files.is_file(root / name):
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
    text = files.read_text(path, error=PromptError, mend="check its permissions")
    name, version = path.stem, UNVERSIONED
    if kind == ".jsonl":
        lines = list(_jsonl_lines(text, path))
        if lines and "suite" in lines[0][1]:
            header = lines.pop(0)[1]
            name, version = str(header["suite"]), str(header.get("version", UNVERSIONED))
    elif kind == ".json":
        lines = _vbench_lines(text, path)
    else:
        lines = list(_csv_lines(text, path) if kind == ".csv" else _text_lines(text))
    if not lines:
        raise PromptError("the file holds no prompt", where=path, mend="write one prompt per line")
    return Suite(name=name, version=version, prompts=_prompts_of_lines(lines, path))


def _jsonl_lines(text: str, path: Path) -> Iterator[Line]:
    for number, line in files.lines_of(text):
        where = f"{path}:{number}"
        fields = _json_of_line(line, where, 'write one object per line: {"text": "A red kite."}')
        if not isinstance(fields, dict):
            raise PromptError(
                f"{type(fields).__name__} instead of an object", where=where, mend='write {"text": "A red kite."}'
            )
        yield number, fields


def _json_of_line(text: str, where: str | Path, mend: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        said = error if isinstance(error, ValueError) else "nested too deeply"
        raise PromptError(f"not JSON: {said}", where=where, mend=mend) from None


# VBench's lists -----------------------------------------------------------------------------------------------------


IMAGE_FOLDERS = (".", "images", "data/origin", *(f"data/crop/{ratio}" for ratio in ("16-9", "7-4", "8-5", "1-1")))
"""Where the images of VBench-I2V's list are looked for, relative to the list: beside it, or where VBench unpacks them.
The first that is there is taken; models cut it to their size from the middle."""

_VBENCH = 'write [{"prompt_en": "A red kite.", "dimension": ["scene"]}]'


def _vbench_lines(text: str, path: Path) -> list[Line]:
    """VBench's list; a prompt that stands there several times, with the same image, has all of its dimensions."""
    entries = _json_of_line(text, path, _VBENCH)
    found: dict[tuple[str, str | None], dict[str, Any]] = {}
    first: dict[tuple[str, str | None], int] = {}
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries], start=1):
        where = f"{path}: entry {number}"
        if not isinstance(entry, dict) or not isinstance(entry.get("prompt_en"), str):
            raise PromptError(f"entry {number} has no 'prompt_en'", where=path, mend=_VBENCH)
        named, image = entry.get("dimension", []), _string(entry, "image_name", where)
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            raise PromptError(f"the dimension of entry {number} is {named!r}, no list", where=path, mend=_VBENCH)
        kind = _string(entry, "image_type", where)
        if kind is not None and image is None:
            raise PromptError(
                "an image_type, and no image_name", where=where, mend="take VBench-I2V's list that names every image"
            )
        key = (entry["prompt_en"].strip(), image)
        first.setdefault(key, number)
        fields = found.setdefault(key, {"text": key[0], "image": image and _image_of_list(image, path.parent)})
        fields["tags"] = list(dict.fromkeys([*fields.get("tags", ()), *named]))
        fields["category"] = kind or next(iter(fields["tags"]), None)
    return [(first[key], fields) for key, fields in found.items()]


def _image_of_list(name: str, folder: Path) -> Path:
    """Where an image lies; beside the list where it is nowhere."""
    places = [folder / place / name for place in IMAGE_FOLDERS]
    try:
        return next((place for place in places if files.is_file(place)), places[0]).resolve()
    except (OSError, ValueError):  # a name that no file can have
        return places[0]


def absent_images(suite: Suite) -> tuple[str, ...]:
    """The conditioning images that a suite names and that are not there: a list of VBench comes without its images."""
    named = dict.fromkeys(prompt.image for prompt in suite.prompts if prompt.image is not None)
    return tuple(image for image in named if not files.is_there(image))


def vbench_entries(suite: Suite) -> list[dict[str, Any]]:
    """The suite as VBench lists its prompts: the tags are the dimensions, or the category where there are none.

    Those with an image are entries of VBench-I2V, the category their type of image.
    """
    return [
        {"prompt_en": prompt.text, "dimension": list(prompt.tags or (prompt.category,))}
        | ({"image_type": prompt.category, "image_name": Path(prompt.image).name} if prompt.image else {})
        for prompt in suite.prompts
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
    for number, line in files.lines_of(text.replace("\r\n", "\n").replace("\r", "\n")):
        if not re.match(r"\s*#+(\s|$)", line):
            yield number, {"text": line.strip()}


# Prompts ------------------------------------------------------------------------------------------------------------


def _prompts_of_lines(lines: list[Line], path: Path) -> tuple[Prompt, ...]:
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
    image, video = _file(fields, "image", folder, where), _file(fields, "video", folder, where)
    return Prompt(
        id=_string(fields, "id", where) or _derived_id(text, image, video),
        text=text,
        category=_string(fields, "category", where) or "uncategorised",
        tags=_tags_of_prompt(fields.get("tags"), where),
        negative=_string(fields, "negative", where),
        image=image,
        video=video,
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
    return _writable(value, name, where).strip() or None


def _writable(text: str, name: str, where: str) -> str:
    """Text that can be written."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PromptError(f"{name} holds half a character: {text!a}", where=where, mend="write it as UTF-8") from None
    return text


def _tags_of_prompt(value: Any, where: str) -> tuple[str, ...]:
    """A list, or words separated by commas, semicolons or spaces."""
    if value is None:
        return ()
    words = re.split(r"[,;\s]+", value) if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise PromptError(f"tags are {value!r}, not a list of words", where=where, mend='write ["fast", "water"]')
    return tuple(_writable(word, "a tag", where) for word in words if word)


def _derived_id(text: str, *conditions: str | None) -> str:
    """An id that follows from what is asked for, so that adding a line changes no other prompt's seed.

    Args:
        text: of the prompt.
        conditions: paths of its image and clip: prompts of one text and several images are several prompts.
    """
    words = re.findall(r"[a-z0-9]+", text.lower())[:4]
    names = [Path(condition).name for condition in conditions if condition is not None]
    return "-".join([*words, digest([text, *names] if names else text, length=6)])


def _file(fields: dict[str, Any], name: str, folder: Path, where: str) -> str | None:
    """The path of a conditioning file, relative to the prompt file that names it; a folder may hold frames."""
    given = fields.get(name)
    if isinstance(given, Path):  # looked for already
        return str(given)
    given = _string(fields, name, where)
    if given is None:
        return None
    path, mend = folder / given, f"paths are relative to {folder}"
    if not files.is_there(path):
        raise PromptError(f"there is no file {given!r}", where=where, mend=mend)
    try:
        return str((path if files.is_folder(path) else files.regular(path, error=PromptError)).resolve())
    except PromptError as error:
        raise PromptError(f"{name} {given!r} is {error.what}", where=where, mend=mend) from None
