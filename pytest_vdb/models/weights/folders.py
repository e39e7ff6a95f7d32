"""Is a folder a pipeline that can be loaded and trusted? Asked of names and file headers, before anything is loaded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_vdb import files
from pytest_vdb.budget import in_words
from pytest_vdb.errors import WeightsBroken
from pytest_vdb.files import is_folder, is_there
from pytest_vdb.remote_code import check_config

INDEX = "model_index.json"
"""A pipeline folder has one: it names the pipeline's class and each component's."""

MODULAR_INDEX = "modular_model_index.json"
"""What a modular pipeline's folder has instead, or besides."""

TENSORS = ".safetensors"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
CONFIGURATION = "config.json"
"""How the names of files end that say what a component is made of."""

COPY_AGAIN = "the copy is incomplete or changed: download or copy the folder again"

_SHA256_LENGTH = 64
_LARGEST_JSON = 2**27
"""Bytes. The largest tokenizers take a quarter of it."""
_LARGEST_NUMBER = 2**24
"""Of layers, channels, tokens, positions: more would take minutes or all of the memory before the weights disagree."""
_LARGEST: Mapping[str, int] = {"extra_ids": 2**16}
_MEASURES = re.compile(r"theta|model_max_length|pixels|edge|size$")
"""Keys of whole numbers that count nothing that is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What a pipeline's folder says of itself."""

    path: Path
    components: Mapping[str, tuple[str, str]]
    """Component -> library and class. Those that the pipeline goes without are left out."""
    settings: Mapping[str, Any]
    """Everything else that is no remark about the file."""


def read_index(folder: Path, names: tuple[str, ...] = (INDEX,)) -> Index:
    """The index of a pipeline's folder.

    Args:
        folder: as `save_pretrained` or a download left it.
        names: of the file, the preferred one first.

    Raises:
        WeightsBroken: there is none, or it is not what an index must be; naming the file and the key.
    """
    path = next((folder / name for name in names if is_there(folder / name)), None)
    if path is None:
        nested = sorted(found.parent.name for name in names for found in folder.glob(f"*/{name}"))
        hint = f"did you mean {nested[0]!r} in it?" if nested else f"give the folder that holds {names[0]}"
        raise WeightsBroken(f"is no pipeline: it has no {' or '.join(names)}", where=folder, mend=hint)
    components, settings = {}, {}
    for key, value in _object(path).items():
        if isinstance(value, list) and len(value) in (2, 3) and not key.startswith("_"):
            origin = _origin(path, key, value)
            if origin is not None:
                components[key] = origin
        elif not key.startswith("_"):
            settings[key] = value
    return Index(path=path, components=components, settings=settings)


def check(folder: Path, index: Index, *, given: Collection[str] = (), only: Collection[str] | None = None) -> None:
    """Refuse what lacks components, has only pickles, or has files that are torn or no files at all.

    Args:
        folder: as `save_pretrained` or a download left it.
        index: what it says of itself.
        given: components that come from elsewhere and need not be in it.
        only: components that are needed; None: all.

    Raises:
        WeightsBroken: naming the file or component.
    """
    for name in index.components:
        needed = name not in given and (only is None or name in only)
        if needed and not is_folder(folder / name):
            raise WeightsBroken(
                f"{index.path.name} names the component {name!r}, but there is no such folder",
                where=folder,
                mend=COPY_AGAIN,
            )
    for part in (folder, *(path for path in sorted(folder.iterdir()) if is_folder(path))):
        check_part(part)


def check_part(part: Path) -> None:
    """Refuse a component's folder that has only pickles, torn weight files, or a configuration that is none.

    Raises:
        WeightsBroken: naming the file, and the key where there is one.
    """
    there = {path.name: path for path in sorted(part.iterdir()) if not is_folder(path)}
    for path in there.values():
        files.regular(path, error=WeightsBroken, mend=COPY_AGAIN)
    tensors = [path for name, path in there.items() if name.endswith(TENSORS)]
    pickles = sorted(name for name in there if name.endswith(PICKLES) and not name.startswith("training_args"))
    if pickles and not tensors:
        raise WeightsBroken(
            f"has only pickled weights ({', '.join(pickles)}), which can run any code when they are read",
            where=part,
            mend="use a repository or revision with .safetensors files, or convert them where you trust their origin",
        )
    for path in tensors:
        check_header(path)
    for name, path in there.items():
        if name.endswith(".safetensors.index.json"):
            _check_shards(path)
        elif name.endswith(CONFIGURATION):
            _check_numbers(config := _object(path), path)
            check_config(config, where=path, error=WeightsBroken)
        elif name.endswith(".json"):
            _json(path)


def check_header(path: Path) -> None:
    """Refuse a file that is not all of a safetensors file: at its beginning it says how long it must be.

    Raises:
        WeightsBroken: naming the file.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, _LARGEST_JSON):
                raise ValueError(f"a header of {length} bytes in a file of {size}")
            header = files.parse_json(file.read(length), where=path, error=WeightsBroken)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        expected = 8 + length + max(ends, default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, WeightsBroken) as error:
        what = error.what if isinstance(error, WeightsBroken) else str(error)
        raise WeightsBroken(
            f"is not a safetensors file: {what}", where=path, mend="delete it and download or copy it again"
        ) from None
    if expected != size:
        raise WeightsBroken(
            f"is torn: its header promises {expected} bytes, it has {size}",
            where=path,
            mend="delete it and download or copy it again",
        )


def verify_downloads(folder: Path, ledger: Path) -> None:
    """Compare each downloaded weight file with the SHA-256 that the hub published for it; each file once.

    A downloaded file is a link to a blob that is named by the SHA-256 of its content. huggingface_hub itself checks
    only the size.

    Args:
        folder: a snapshot in the hub's cache.
        ledger: folder that remembers what was verified.

    Raises:
        WeightsBroken: a file's content is not what the hub published.
        OutputError: the ledger cannot be written.
    """
    for path in sorted(folder.rglob("*.safetensors")):
        blob = path.resolve()
        if len(blob.name) != _SHA256_LENGTH:
            continue  # not kept by the content's hash
        mark = ledger / f"{blob.name}-{blob.stat().st_size}-{blob.stat().st_mtime_ns}"
        if is_there(mark):
            continue
        with blob.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != blob.name:
            raise WeightsBroken(
                f"the content has SHA-256 {found[:16]}..., the hub published {blob.name[:16]}...",
                where=path,
                mend=f"delete {blob} and download it again",
            )
        files.write(mark, b"")


def _origin(path: Path, key: str, value: list[Any]) -> tuple[str, str] | None:
    """Library and class of a component; None where the pipeline goes without it.

    A modular index has them twice, and where the component is not loaded yet, only the second time.
    """
    library, name = value[:2]
    if len(value) == 3 and library is None:
        hint = value[2].get("type_hint") if isinstance(value[2], dict) else None
        library, name = hint if isinstance(hint, list) and len(hint) == 2 else (None, None)
    if library is None and name is None:
        return None
    if not isinstance(library, str) or not isinstance(name, str):
        raise WeightsBroken(f"`{key}` is not a library and a class", where=path, mend=COPY_AGAIN)
    if not key.isidentifier():
        raise WeightsBroken(f"{key!r} is no name of a component", where=path, mend=COPY_AGAIN)
    return library, name


def _check_shards(index: Path) -> None:
    table = _object(index).get("weight_map")
    if not isinstance(table, dict) or not all(isinstance(shard, str) for shard in table.values()):
        raise WeightsBroken("`weight_map` does not map tensors to files", where=index, mend=COPY_AGAIN)
    shards = sorted(set(table.values()))
    for shard in shards:
        if Path(shard).name != shard or not shard.endswith(TENSORS):
            raise WeightsBroken(
                f"`weight_map` names {shard!r}, which is no {TENSORS} file beside it", where=index, mend=COPY_AGAIN
            )
    missing = [shard for shard in shards if not is_there(index.parent / shard)]
    if missing and len(missing) < len(shards):  # all: the index of a variant that was not downloaded
        raise WeightsBroken(
            f"{len(missing)} of its shards are missing: {', '.join(missing[:3])}", where=index, mend=COPY_AGAIN
        )


def _object(path: Path) -> dict[str, Any]:
    """A file of one JSON object."""
    value = _json(path)
    if not isinstance(value, dict):
        raise WeightsBroken("is no JSON object", where=path, mend=COPY_AGAIN)
    return value


def _json(path: Path) -> Any:
    size = files.regular(path, error=WeightsBroken, mend=COPY_AGAIN).stat().st_size
    if size > _LARGEST_JSON:
        raise WeightsBroken(
            f"{in_words(size)}, and no such file is larger than {in_words(_LARGEST_JSON)}", where=path, mend=COPY_AGAIN
        )
    return files.read_json(path, error=WeightsBroken, mend=COPY_AGAIN)


def _check_numbers(value: object, path: Path) -> None:
    """Refuse a configuration that asks for more of something than any model has."""
    for key, number in _whole_numbers(value):
        most = _LARGEST.get(key, _LARGEST_NUMBER)
        if abs(number) > most and not _MEASURES.search(key):
            raise WeightsBroken(f"`{key}` is {number}, more than {most}", where=path, mend=COPY_AGAIN)


def _whole_numbers(value: object, key: str = "") -> Iterator[tuple[str, int]]:
    """Every whole number with the key that it stands under, however deep."""
    if isinstance(value, dict):
        for inner_key, inner in value.items():
            yield from _whole_numbers(inner, inner_key)
    elif isinstance(value, list):
        for inner in value:
            yield from _whole_numbers(inner, key)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield key, value
