"""`vdb isolate`: what a model needs to run in a process of its own, as a folder with a card."""

from __future__ import annotations

import argparse
import ast
import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pytest_vdb import files
from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.printing import show, warn
from pytest_vdb.cli.projects import place_file
from pytest_vdb.errors import OptionError, UnknownName
from pytest_vdb.escaping import file_name
from pytest_vdb.files import expanded

if TYPE_CHECKING:
    from pytest_vdb.models.card import ModelCard

MODULE = "model"
"""Of the copy of the model's file."""

DEFINITION = "model.def"
"""What Apptainer builds an image from."""
APPTAINER = "apptainer"

_STANDS_IN = frozenset({"Clip", "backbone", "isolated", "metric", "model"})
"""Names of pytest-vdb that the server has where it is not installed."""


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    isolate = commands.add_parser(
        "isolate",
        help="write what a model needs to run in a process of its own, behind a wall",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb isolate noise --from conftest.py                behind bubblewrap\n"
        "  vdb isolate wan2.1-t2v-1.3b --as venv               a model of the catalogue, with versions of its own\n"
        "  vdb isolate noise --from models.py --as docker      with a Dockerfile\n\n"
        "The folder has a copy of the file (of a model of the catalogue: one that names it), the packages that it\n"
        "imports, pinned, and the card; nothing is installed or built. docker, podman and apptainer are written from\n"
        "documents and were never tried.",
    )
    isolate.add_argument("model", metavar="MODEL", help="its name")
    tagged = "the Python file or module that tags it with @model (default: it is one of the catalogue)"
    isolate.add_argument("--from", dest="source", metavar="FILE", help=tagged)
    walls = "bwrap, venv, docker, podman or apptainer (default: %(default)s)"
    isolate.add_argument("--as", dest="wall", metavar="WALL", default="bwrap", help=walls)
    where = "where to write (default: isolated/MODEL)"
    isolate.add_argument("--output", "-o", type=expanded, metavar="FOLDER", help=where)
    isolate.set_defaults(command=Command(IsolateArguments, _isolate))


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolateArguments:
    """What `vdb isolate` was asked."""

    model: str
    source: str | None
    wall: str
    output: Path | None


def _isolate(arguments: IsolateArguments) -> int:
    from pytest_vdb.models.isolated import CARD, PREFIX, card_of_folder
    from pytest_vdb.models.isolation import serve
    from pytest_vdb.models.isolation.settings import CONTAINERS, Wall

    if arguments.wall not in get_args(Wall):
        mend = f"one of: {', '.join(get_args(Wall))}"
        raise UnknownName("wall", arguments.wall, get_args(Wall), where="--as", mend=mend)
    if arguments.source is None:
        found = _model_of_catalogue(arguments.model)
    else:
        found = _model_of_file(arguments.model, arguments.source)
    card, folder = found.card, arguments.output or Path("isolated") / file_name(found.card.name)
    pinned, unknown = _pinned(found.text)
    place_file(found.text, folder / f"{MODULE}.py")
    place_file("".join(f"{one}\n" for one in pinned), folder / "requirements.txt")
    place_file(_card_as_toml(card, arguments.wall, found.name), folder / CARD)
    if arguments.wall in CONTAINERS:
        place_file(Path(serve.__file__).read_text(encoding="utf-8"), folder / "serve.py")
        if arguments.wall == APPTAINER:
            place_file(_definition_of_image(card, found.name, pinned), folder / DEFINITION)
        else:
            place_file(_dockerfile(card, found.name, pinned), folder / "Dockerfile")
    for name in unknown:
        warn(f"{MODULE}.py imports {name}, which no package brings: copy it into {folder}")
    kept = card_of_folder(f"{PREFIX}{folder.absolute()}")[1].wall
    if kept != arguments.wall:
        mend = f"change it there, or take another folder with -o: nothing else here makes it {arguments.wall}"
        warn(f"the {CARD} that was kept says wall = {kept!r}: {mend}")
    for command in _next_commands(card, arguments.wall, folder):
        show(command)
    show(f"then:     pytest benchmarks/ {shlex.quote(f'--vdb-models={PREFIX}{folder}')}")
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A model that shall be isolated."""

    card: ModelCard
    text: str
    """Of the file that its process imports."""
    name: str
    """Of what is served, in that file."""


def _model_of_catalogue(name: str) -> Found:
    """A model that ships with pytest-vdb.

    Raises:
        UnknownName: there is none of that name.
    """
    from pytest_vdb.models.registry import Registry

    card = Registry.from_catalog().get(name)
    text = (
        f'"""{card.name} of pytest-vdb\'s catalogue, in an environment of its own."""\n\n'
        "from pytest_vdb.models.served import FromCatalogue\n\n\n"
        "class Model(FromCatalogue):\n"
        f"    name = {json.dumps(card.name)}\n"
        "    # weights_dir = ...  # a folder of its weights; without this line: the cache of the Hub on this machine\n"
    )
    return Found(card=card, text=text, name="Model")


def _model_of_file(name: str, source: str) -> Found:
    """A model of the user's own.

    Raises:
        UnknownName: the file tags none of that name.
        OptionError: see `_source_of`.
    """
    from pytest_vdb.cli.sources import imported
    from pytest_vdb.models.contract import tagged

    found = {card.name: (card, target) for card, target in tagged(imported(source))}
    if name not in found:
        raise UnknownName("model", name, found, where=source, mend=f"it tags: {', '.join(found) or 'none'}")
    card, target = found[name]
    return Found(card=card, text=files.read_text(_source_of(target), error=OptionError), name=target.__qualname__)


def _source_of(target: Callable[..., Any]) -> Path:
    """The file in which it stands.

    Raises:
        OptionError: it is made of no file.
    """
    from pytest_vdb.places import file_of

    path = file_of(target)
    if path is None:
        what = f"{target.__qualname__} has no code of its own in a file"
        raise OptionError(what, where="--from", mend="name the file that its `generate` stands in")
    return Path(path)


def _pinned(text: str) -> tuple[list[str], list[str]]:
    """The packages that a source imports, at the versions that are here; and the modules that no package brings."""
    from importlib.metadata import packages_distributions, version

    brought = packages_distributions()
    modules = sorted({"numpy", *_imported_modules(text)} - set(sys.stdlib_module_names))
    if "pytest_vdb" in modules:  # and what decides its models' pixels
        modules += ["diffusers", "torch", "transformers"]
    packages = {brought[module][0] for module in modules if module in brought and module != "pytest_vdb"}
    packages |= {"pytest-vdb"} & {module.replace("_", "-") for module in modules}
    pinned = [f"{package}=={version(package).partition('+')[0]}" for package in sorted(packages, key=str.lower)]
    return pinned, [module for module in modules if module not in brought and module != "pytest_vdb"]


def _imported_modules(text: str) -> Iterator[str]:
    """The top of each; of pytest-vdb only where more is asked for than the server stands in for."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            stood_in = node.module == "pytest_vdb" and {alias.name for alias in node.names} <= _STANDS_IN
            if node.module and not stood_in:
                yield node.module.partition(".")[0]


def _card_as_toml(card: ModelCard, wall: str, name: str) -> str:
    """The card to read, and to go on with by hand."""
    from pytest_vdb.models.isolation.settings import CONTAINERS

    defaults = ", ".join(f"{key} = {_toml_value(value)}" for key, value in card.defaults.settings().items())
    lines = [
        "# What this can say: docs/isolated.md of pytest-vdb.",
        "[model]",
        f"name = {_toml_value(f'{card.name}-{wall}')}",
        f"task = {_toml_value(card.task)}",
        f"tags = {_toml_value(list(card.tags))}",
        f"frame_rule = {_toml_value(card.frame_rule.text)}",
        f"size_multiple = {card.size_multiple}",
        f"warm_up = {_toml_value(card.warm_up)}",
        f"notes = {_toml_value(card.notes)}",
        f"defaults = {{{defaults}}}",
        "",
        "[isolated]",
        f"wall = {_toml_value(wall)}",
    ]
    if wall in CONTAINERS:
        lines += [f"image = {_toml_value(_image_of(card, wall))}"]
    else:
        lines += [
            f"serve = {_toml_value(f'{MODULE}:{name}')}",
            '# python = ".venv/bin/python"  # without this line: the Python of the session, with its packages',
        ]
    lines += ["# memory_gib = 8", "# seconds = 3600"]
    return "\n".join(lines) + "\n"


def _toml_value(value: str | bool | float | Sequence[str]) -> str:
    """As TOML has it, which of texts, numbers, booleans and lists of texts is what JSON has."""
    return json.dumps(value)


def _image_of(card: ModelCard, wall: str) -> str:
    """A name that an engine takes: lower case, and few signs; of Apptainer a file."""
    suffix = ".sif" if wall == APPTAINER else ""
    return f"vdb-{re.sub(r'[^a-z0-9]+', '-', card.name.lower()).strip('-') or 'model'}{suffix}"


def _labels_of_image(card: ModelCard, pinned: Sequence[str]) -> dict[str, str]:
    """What an image says of itself."""
    from pytest_vdb.models.isolation.serve import VERSION

    return {
        "org.opencontainers.image.title": card.name,
        "org.pytest-vdb.protocol": str(VERSION),
        "org.pytest-vdb.packages": " ".join(pinned),
    }


def _definition_of_image(card: ModelCard, name: str, pinned: Sequence[str]) -> str:
    """What Apptainer builds from; the arguments of a run go to the server.

    Its labels are lines, and double braces are variables in it: a name that has either is written without.
    """
    labels = {
        key: " ".join(value.replace("{{", "{ {").split()) for key, value in _labels_of_image(card, pinned).items()
    }
    copied = ("requirements.txt", "serve.py", f"{MODULE}.py")
    return "\n".join(
        [
            "# Written by vdb isolate; never tried on a machine with Apptainer.",
            "Bootstrap: docker",
            f"From: {_python_image()}",
            "",
            "%labels",
            *(f"    {key} {value}" for key, value in labels.items()),
            "",
            "%files",
            *(f"    {file} /vdb/{file}" for file in copied),
            "",
            "%post",
            "    pip install --no-cache-dir -r /vdb/requirements.txt",
            "",
            "%runscript",
            f'    cd /vdb && exec python /vdb/serve.py {MODULE}:{name} "$@"',
            "",
        ]
    )


def _python_image() -> str:
    """With the Python of this session."""
    return f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"


def _dockerfile(card: ModelCard, name: str, pinned: Sequence[str]) -> str:
    entry = json.dumps(["python", "/vdb/serve.py", f"{MODULE}:{name}"])
    return "\n".join(
        [
            "# Written by vdb isolate; never tried on a machine with an engine.",
            f"FROM {_python_image()}",
            *(f"LABEL {key}={_docker_quoted(value)}" for key, value in _labels_of_image(card, pinned).items()),
            "WORKDIR /vdb",
            "COPY requirements.txt ./",
            "RUN pip install --no-cache-dir -r requirements.txt",
            f"COPY serve.py {MODULE}.py ./",
            "USER 65534:65534",
            f"ENTRYPOINT {entry}",
            "",
        ]
    )


def _docker_quoted(text: str) -> str:
    """In double quotes, where a dollar would be a variable."""
    return json.dumps(text, ensure_ascii=False).replace("$", "\\$")


def _next_commands(card: ModelCard, wall: str, folder: Path) -> Iterator[str]:
    from pytest_vdb.models.isolation.settings import CONTAINERS

    quoted, image = shlex.quote(str(folder)), _image_of(card, wall)
    if wall in CONTAINERS:
        build = f"(cd {quoted} && apptainer build {image} {DEFINITION})"
        yield f"next:     {build if wall == APPTAINER else f'{wall} build -t {image} {quoted}'}"
        return
    venv, python, pins = (shlex.quote(str(folder / part)) for part in (".venv", ".venv/bin/python", "requirements.txt"))
    yield f"versions: python -m venv {venv} && {python} -m pip install -r {pins}"
    yield "          with other versions in requirements.txt, if need be; then take the # from `python` in the card"
    if wall == "venv":
        yield "          a venv is no wall: the model reads, writes and sends what the session can"
