"""A network of transformers with its published weights, or with those of a folder. Needs torch."""

from __future__ import annotations

from typing import Any

from pytest_vdb.backbones.contract import BackboneSource, BackboneSpec
from pytest_vdb.backbones.weights import given_file, hub_file, weights_digest
from pytest_vdb.errors import WeightsBroken
from pytest_vdb.files import is_there, read_json
from pytest_vdb.remote_code import check_config


def open_pretrained(model_class: Any, source: BackboneSource, *, network: BackboneSpec, called: str) -> tuple[Any, str]:
    """The model and its identity, `NAME@DIGEST`.

    Args:
        model_class: of transformers.
        source: `path` is a folder with `config.json` and `model.safetensors`; without one, the hub's.
        network: whose declaration names the repository.
        called: the network in messages.

    Raises:
        WeightsMissing: not here, and not to be had now.
        WeightsBroken: unreadable, or weights are missing; transformers itself would make random ones up.
    """
    where = f"--vdb-backbone {network.name}"
    if source.path is None:
        weights, config = (
            hub_file(network.repository, name, offline=source.offline, backbone=network.name, size_mib=network.size_mib)
            for name in ("model.safetensors", "config.json")
        )
        name, folder = network.repository.rpartition("/")[2], config.parent
    else:
        name, folder = source.path.name, given_file(source.path, backbone=network.name)
        weights = given_file(folder / "model.safetensors", backbone=network.name)
    config = folder / "config.json"
    if is_there(config):  # else transformers says what it needs
        check_config(read_json(config, error=WeightsBroken), where=config, error=WeightsBroken)
    try:
        model, loading = model_class.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # transformers and safetensors raise each their own for a broken file
        raise WeightsBroken(
            f"{folder} cannot be read as {called}: {str(error).partition(chr(10))[0]}", where=where
        ) from error
    if lacking := sorted(loading["missing_keys"]):
        raise WeightsBroken(f"{weights} lacks {len(lacking)} of {called}'s weights, {lacking[0]!r} first", where=where)
    return model, f"{name}@{weights_digest(weights)}"
