"""Is a folder a pipeline that can be loaded and trusted? Asked of names and file headers, before anything is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pytest_vdb.errors import WeightsBroken

INDEX = "model_index.json"
"""Every pipeline folder has one: it names the pipeline's class and each component's."""

TENSORS = ".safetensors"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_SHA256_LENGTH = 64


def check(folder: Path, *, given: Collection[str] = ()) -> None:
    """Refuse what is no pipeline, lacks components, has only pickles, or has torn weight files.

    Args:
        folder: as `save_pretrained` or a download left it.
        given: components that come from elsewhere and need not be in it.

    Raises:
        WeightsBroken: naming the file or component.
    """
    for name in _components(folder):
        if name not in given and not (folder / name).is_dir():
            raise WeightsBroken(
                f"{INDEX} names the component {name!r}, but there is no such folder",
                where=folder,
                mend="the copy is incomplete: download or copy the folder again",
            )
    for part in (folder, *(path for path in sorted(folder.iterdir()) if path.is_dir())):
        check_part(part)


def check_part(part: Path) -> None:
    """Refuse a component's folder that has only pickles or torn weight files.

    Raises:
        WeightsBroken: naming the file.
    """
    files = {path.name: path for path in part.iterdir() if path.is_file()}
    tensors = [path for name, path in files.items() if name.endswith(TENSORS)]
    pickles = sorted(name for name in files if name.endswith(PICKLES) and not name.startswith("training_args"))
    if pickles and not tensors:
        raise WeightsBroken(
            f"has only pickled weights ({', '.join(pickles)}), which can run any code when they are read",
            where=part,
            mend="use a repository or revision with .safetensors files, or convert them where you trust their origin",
        )
    for path in tensors:
        _check_header(path)
    for name in files:
        if name.endswith(".safetensors.index.json"):
            _check_shards(files[name])


def verify_downloads(folder: Path, ledger: Path) -> None:
    """Compare each downloaded weight file with the SHA-256 that the hub published for it; each file once.

    A downloaded file is a link to a blob that is named by the SHA-256 of its content. huggingface_hub itself checks
    only the size.

    Args:
        folder: a snapshot in the hub's cache.
        ledger: folder that remembers what was verified.

    Raises:
        WeightsBroken: a file's content is not what the hub published.
    """
    for path in sorted(folder.rglob("*.safetensors")):
        blob = path.resolve()
        if len(blob.name) != _SHA256_LENGTH:
            continue  # not kept by the content's hash
        mark = ledger / f"{blob.name}-{blob.stat().st_size}-{blob.stat().st_mtime_ns}"
        if mark.exists():
            continue
        with blob.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != blob.name:
            raise WeightsBroken(
                f"the content has SHA-256 {found[:16]}..., the hub published {blob.name[:16]}...",
                where=path,
                mend=f"delete {blob} and download it again",
            )
        ledger.mkdir(parents=True, exist_ok=True)
        mark.touch()


def _components(folder: Path) -> Iterator[str]:
    """Names of the components that the index expects in folders of their own."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except FileNotFoundError:
        nested = sorted(path.parent.name for path in folder.glob(f"*/{INDEX}"))
        hint = f"did you mean {nested[0]!r} in it?" if nested else "give the folder that holds model_index.json"
        raise WeightsBroken(f"is no pipeline: it has no {INDEX}", where=folder, mend=hint) from None
    except ValueError as error:
        raise WeightsBroken(f"{INDEX} is not JSON: {error}", where=folder, mend="copy the folder again") from None
    for name, origin in index.items():
        if isinstance(origin, list) and len(origin) == 2 and all(origin):
            yield name


def _check_shards(index: Path) -> None:
    table: dict[str, Any] = json.loads(index.read_text(encoding="utf-8"))
    missing = sorted({shard for shard in table.get("weight_map", {}).values() if not (index.parent / shard).exists()})
    if missing and not any((index.parent / shard).exists() for shard in table["weight_map"].values()):
        return  # the index of a variant that was not downloaded
    if missing:
        raise WeightsBroken(
            f"{len(missing)} of its shards are missing: {', '.join(missing[:3])}",
            where=index,
            mend="the copy is incomplete: download or copy the folder again",
        )


def _check_header(path: Path) -> None:
    """A safetensors file says at its beginning how long it must be."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            if not 2 <= length <= size - 8:
                raise ValueError(f"a header of {length} bytes in a file of {size}")
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            expected = 8 + length + max(ends, default=0)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise WeightsBroken(
                f"is not a safetensors file: {error}", where=path, mend="delete it and download or copy it again"
            ) from None
    if expected != size:
        raise WeightsBroken(
            f"is torn: its header promises {expected} bytes, it has {size}",
            where=path,
            mend="delete it and download or copy it again",
        )
