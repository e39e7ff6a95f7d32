"""Published weights: found in the hub's cache or downloaded, by commit, safetensors only."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pytest_vdb.errors import WeightsBroken, WeightsMissing
from pytest_vdb.files import is_there
from pytest_vdb.models.card import ModelCard, Part
from pytest_vdb.models.weights import folders
from pytest_vdb.models.weights.folders import PICKLES, TENSORS

T = TypeVar("T")

_GIGABYTE = 1e9
_NOT_HERE = "is not on this machine, and this run is offline"

_OF_A_COMPONENT = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
"""Files that a component is read from: configurations, weights, vocabularies, templates of chats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One commit of a repository on this disk."""

    folder: Path
    revision: str
    """The commit."""


def require_any(card: ModelCard, *, offline: bool) -> None:
    """Make sure of what is cheap to know: that a pipeline is here, or that the hub has it for us.

    Args:
        card: with the repository and, where pinned, the revision.
        offline: never ask the hub.

    Raises:
        WeightsMissing: not even its index is here, and it is not to be had.
        WeightsBroken: the hub has it as pickles only.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.constants import HF_HUB_OFFLINE

    assert card.repository is not None
    indexes = (
        try_to_load_from_cache(card.repository, name, revision=card.revision)
        for name in (folders.INDEX, folders.MODULAR_INDEX)
    )
    if any(isinstance(index, str) for index in indexes):
        return
    if offline or HF_HUB_OFFLINE:
        raise _missing(card.repository, card.revision, _NOT_HERE, card.download_gb)
    _commit_of(card.repository, card.revision, None, card.download_gb)


def pipeline(card: ModelCard, kind: Any, *, given: Collection[str], offline: bool) -> Snapshot:
    """The folder with the pipeline's files, downloaded first if it may be.

    A pinned revision that is on this machine is used without asking the hub.

    Args:
        card: with the repository and, where pinned, the revision.
        kind: the pipeline class: it decides which files are needed.
        given: components that come from elsewhere.
        offline: never ask the hub.

    Raises:
        WeightsMissing: not here and not to be had: no network, no such repository or revision, gated, disk full.
    """
    assert card.repository is not None
    settings = {
        "variant": card.variant,
        "use_safetensors": True,
        "trust_remote_code": False,
        **dict.fromkeys(given),
    }

    def cached() -> Path:
        return Path(kind.download(card.repository, revision=card.revision, local_files_only=True, **settings))

    def downloaded() -> Path:
        return Path(kind.download(card.repository, revision=card.revision, **settings))

    return _snapshot(card.repository, card.revision, cached, downloaded, offline=offline, size_gb=card.download_gb)


def components(card: ModelCard, names: Collection[str], *, indexes: tuple[str, ...], offline: bool) -> Snapshot:
    """The folder with the files of some components, and the index that names them.

    Args:
        card: with the repository and, where pinned, the revision.
        names: of the components, which are folders of the repository.
        indexes: what the index may be called.
        offline: never ask the hub.

    Raises:
        WeightsMissing: as `pipeline` does.
    """
    from huggingface_hub import snapshot_download

    assert card.repository is not None
    patterns = [*indexes, *(f"{name}/{pattern}" for name in sorted(names) for pattern in _OF_A_COMPONENT)]
    repository, settings = card.repository, {"revision": card.revision, "allow_patterns": patterns}

    def cached() -> Path:
        folder = Path(snapshot_download(repository, local_files_only=True, **settings))
        try:
            folders.check(folder, folders.read_index(folder, indexes), only=names)
        except WeightsBroken as error:  # a download that broke off: what is here is no snapshot yet
            raise FileNotFoundError(str(error)) from None
        return folder

    def downloaded() -> Path:
        return Path(snapshot_download(repository, **settings))

    return _snapshot(repository, card.revision, cached, downloaded, offline=offline, size_gb=card.download_gb)


def part(wanted: Part, *, offline: bool) -> Snapshot:
    """The folder with one component's files.

    Raises:
        WeightsMissing: as `pipeline` does.
    """
    from huggingface_hub import snapshot_download

    inside = f"{wanted.subfolder}/" if wanted.subfolder else ""
    patterns = [f"{inside}*.json", f"{inside}*.safetensors"]

    def cached() -> Path:
        return Path(
            snapshot_download(
                wanted.repository, revision=wanted.revision, allow_patterns=patterns, local_files_only=True
            )
        )

    def downloaded() -> Path:
        return Path(snapshot_download(wanted.repository, revision=wanted.revision, allow_patterns=patterns))

    return _snapshot(wanted.repository, wanted.revision, cached, downloaded, offline=offline, size_gb=None)


def _snapshot(
    repository: str,
    revision: str | None,
    cached: Callable[[], Path],
    downloaded: Callable[[], Path],
    *,
    offline: bool,
    size_gb: float | None,
) -> Snapshot:
    from huggingface_hub.constants import HF_HUB_OFFLINE

    here = _if_cached(cached)
    if here is not None and (revision is not None or offline or HF_HUB_OFFLINE):
        return here
    if offline or HF_HUB_OFFLINE:
        raise _missing(repository, revision, _NOT_HERE, size_gb)
    latest = _commit_of(repository, revision, here, size_gb)
    if here is not None and here.revision == latest:
        return here
    try:
        folder = _refusals_explained(downloaded, repository, revision, size_gb)
    except _transport_errors() as error:
        reason = f"broke off while it was downloaded ({_first_line(error)}); what is here is kept"
        raise _missing(repository, revision, reason, size_gb) from error
    return Snapshot(folder=folder, revision=folder.name)


def _if_cached(find: Callable[[], Path]) -> Snapshot | None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = find()
    except (LocalEntryNotFoundError, FileNotFoundError):
        return None
    return Snapshot(folder=folder, revision=folder.name)


def _commit_of(repository: str, revision: str | None, here: Snapshot | None, size_gb: float | None) -> str:
    """The commit that the revision is now. Without a network, the one on this machine."""
    from huggingface_hub import HfApi

    try:
        info = _refusals_explained(
            lambda: HfApi().model_info(repository, revision=revision, files_metadata=True),
            repository,
            revision,
            size_gb,
        )
    except _transport_errors() as error:
        if here is not None:
            return here.revision
        reason = f"is not on this machine, and the hub cannot be reached ({_first_line(error)})"
        raise _missing(repository, revision, reason, size_gb) from error
    files = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    _require_safetensors(repository, files)
    _require_space(repository, revision, sum(size for name, size in files.items() if name.endswith(TENSORS)))
    return str(info.sha)


def _require_safetensors(repository: str, files: Collection[str]) -> None:
    if not any(name.endswith(TENSORS) for name in files) and any(name.endswith(PICKLES) for name in files):
        raise WeightsBroken(
            "the repository has only pickled weights, which can run any code when they are read",
            where=repository,
            mend="ask its owner for .safetensors files, or convert them where you trust their origin (then use local)",
        )


def _require_space(repository: str, revision: str | None, bytes_needed: int) -> None:
    from huggingface_hub.constants import HF_HUB_CACHE

    places = (Path(HF_HUB_CACHE), *Path(HF_HUB_CACHE).parents)
    existing = next((folder for folder in places if is_there(folder)), Path.cwd())
    free = shutil.disk_usage(existing).free
    if bytes_needed > free:
        gb = bytes_needed / _GIGABYTE
        reason = f"does not fit the disk: up to {gb:.1f} GB, and {existing} has {free / _GIGABYTE:.1f} GB free"
        raise _missing(repository, revision, reason, gb)


def _refusals_explained(ask: Callable[[], T], repository: str, revision: str | None, size_gb: float | None) -> T:
    """Call the hub; what it refuses becomes `WeightsMissing` with the reason."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return ask()
    except GatedRepoError as error:
        reason = f"is gated: accept its terms at https://huggingface.co/{repository}, then run `hf auth login`"
        raise _missing(repository, revision, reason, size_gb) from error
    except RepositoryNotFoundError as error:
        reason = "does not exist on the hub, or is private and you are not logged in (`hf auth login`)"
        raise _missing(repository, revision, reason, size_gb) from error
    except RevisionNotFoundError as error:
        raise _missing(repository, revision, f"has no revision {revision!r}", size_gb) from error
    except EntryNotFoundError as error:
        raise _missing(repository, revision, f"lacks a file that it lists: {_first_line(error)}", size_gb) from error
    except HfHubHTTPError as error:
        raise _missing(repository, revision, f"cannot be had: {_first_line(error)}", size_gb) from error


def _transport_errors() -> tuple[type[Exception], ...]:
    """What a broken connection raises, whichever HTTP library this version of huggingface_hub is built on."""
    from huggingface_hub.errors import HTTPError

    return OSError, HTTPError


def _missing(repository: str, revision: str | None, reason: str, size_gb: float | None) -> WeightsMissing:
    command = f"hf download {repository}" + (f" --revision {revision}" if revision else "")
    size = f"{size_gb:.1f} GB" if size_gb is not None else "its size is not recorded"
    return WeightsMissing(
        f"{repository} ({'revision ' + revision if revision else 'latest, unpinned'}; {size}) {reason}",
        mend=f"get it where there is a network: {command}",
    )


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
