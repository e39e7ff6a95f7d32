"""Finding a backbone's weights: the user's file, this machine's cache, or the hub; reading them; saying which they are.

Importing it imports no torch.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb.backbones.contract import BackboneSource, BackboneSpec
from pytest_vdb.budget import budget
from pytest_vdb.errors import WeightsBroken, WeightsMissing
from pytest_vdb.files import is_there

if TYPE_CHECKING:
    import torch

SHA256 = re.compile(r"[0-9a-f]{64}")


def own_or_published(network: BackboneSpec, source: BackboneSource) -> Path:
    """The user's own file, else the one that the network declares.

    Raises:
        WeightsMissing: neither is here, and the published one cannot be had now.
    """
    if source.path is not None:
        return given_file(source.path, backbone=network.name)
    if network.repository.startswith("https://"):
        return url_file(
            network.repository,
            cache_dir=source.cache_dir,
            offline=source.offline,
            backbone=network.name,
            size_mib=network.size_mib,
            sha256=network.sha256,
        )
    return hub_file(
        network.repository, network.filename, offline=source.offline, backbone=network.name, size_mib=network.size_mib
    )


def hub_file(repository: str, filename: str, *, offline: bool, backbone: str, size_mib: float | None) -> Path:
    """A file of a hub repository, from the local cache if it is there, else downloaded.

    Raises:
        WeightsMissing: it is not here and cannot be had now, with the command that gets it.
    """
    from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HTTPError

    # Not `hf_hub_download(local_files_only=True)`: for its user agent that asks the hub which agents there are.
    here = try_to_load_from_cache(repository, filename)
    if isinstance(here, str):
        return Path(here)
    reason = "not on this machine, and this run is offline"
    if not offline:
        try:
            HfApi().model_info(repository)  # a hub out of reach is known at once; a download would retry half a minute
            return Path(hf_hub_download(repository, filename))
        except (EntryNotFoundError, HfHubHTTPError, HTTPError, OSError) as error:
            reason = f"not on this machine, and the hub did not give it ({type(error).__name__})"
    size = f", {size_mib:.0f} MiB" if size_mib else ""
    raise WeightsMissing(
        f"the weights of {backbone!r} ({repository}{size}) are {reason}",
        mend=f"get them with: hf download {repository} {filename}; or name your own: --vdb-backbone {backbone}=PATH",
    )


def url_file(url: str, *, cache_dir: Path, offline: bool, backbone: str, size_mib: float, sha256: str = "") -> Path:
    """A published file, cached or downloaded, and checked; of sessions that begin together one downloads it.

    Args:
        sha256: its hash, or the first digits; left out where its name ends in them, as torchvision names files.

    Raises:
        WeightsMissing: it is not here and cannot be had now, with where to get it and where to put it.
    """
    import torch
    from huggingface_hub.utils import WeakFileLock

    name = url.rpartition("/")[2]
    ours = cache_dir / "backbones" / name
    for path in (ours, Path(torch.hub.get_dir()) / "checkpoints" / name):
        if is_there(path):
            return path
    reason = "not on this machine, and this run is offline"
    if not offline:
        ours.parent.mkdir(parents=True, exist_ok=True)
        prefix = sha256 or Path(name).stem.rpartition("-")[2]
        try:
            with WeakFileLock(ours.parent / f".{name}.lock"):
                if not is_there(ours):
                    torch.hub.download_url_to_file(url, str(ours), hash_prefix=prefix, progress=False)
        except (OSError, RuntimeError) as error:  # RuntimeError: the hash does not match; nothing is left behind
            reason = f"not on this machine, and the download failed ({error})"
        else:
            return ours
    raise WeightsMissing(
        f"the weights of {backbone!r} ({name}, {size_mib:.0f} MiB) are {reason}",
        mend=f"get {url} and put it into {ours.parent}, or name your own: --vdb-backbone {backbone}=PATH",
    )


def given_file(path: Path, *, backbone: str) -> Path:
    """The user's own path, checked.

    Raises:
        WeightsMissing: nothing lies there.
    """
    if not is_there(path):
        raise WeightsMissing(
            f"no such file or folder: {path}", where=f"--vdb-backbone {backbone}", mend="check the path"
        )
    return path


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The weights of a file by name: safetensors, or a checkpoint of torch, in which no pickled object is allowed.

    Raises whatever torch and safetensors raise for a broken file; `load_into` and its like say what it was to be.
    """
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    import torch

    _check_archive(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    inside = next((key for key in _WRAPPERS if isinstance(state.get(key), dict)), None)
    state = dict(state if inside is None else state[inside])
    dense = sum(value.numel() * value.element_size() for value in state.values() if isinstance(value, torch.Tensor))
    _check_promised_size(dense, path)
    return state


def _check_archive(path: Path) -> None:
    """A checkpoint is a zip, which may promise more than it holds."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _check_promised_size(sum(member.file_size for member in archive.infolist()), path)


def _check_promised_size(promised: int, path: Path) -> None:
    """Weights take as much memory as their file takes of the disk; what takes more is held to the budget.

    Raises:
        TooLarge: a compressed archive, or tensors that repeat what they look at, of more than that.
    """
    if promised > path.stat().st_size:
        budget().check(promised, where=path)


_WRAPPERS = ("state_dict", "params", "model", "module")
"""Under which checkpoints keep the weights beside other things."""


def load_into(layers: Any, path: Path, *, network: BackboneSpec, called: str) -> Any:
    """The layers with a file's weights, every one of them and no other.

    Raises:
        WeightsBroken: unreadable, pickled objects, or another architecture.
    """
    try:
        layers.load_state_dict(read_state(path))
    except Exception as error:  # torch, pickle and safetensors each raise their own for a broken file
        raise WeightsBroken(
            f"{path} cannot be read as {called}: {str(error).partition(chr(10))[0]}",
            where=f"--vdb-backbone {network.name}",
            mend=f"it is published at {network.repository}",
        ) from error
    return layers


@lru_cache(maxsize=16)
def weights_digest(path: Path) -> str:
    """The first 8 hex digits of a weights file's SHA-256: equal for the hub's copy and the user's own."""
    blob = path.resolve().name
    if SHA256.fullmatch(blob):  # the hub's cache names large files by their SHA-256
        return blob[:8]
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]
