"""What the configuration beside a network's weights may not ask for: code from elsewhere, fetched and run.

`trust_remote_code` is never given, so that a folder's own Python (`auto_map`, `custom_pipeline`) stays where it is.
What is left are names that a library resolves by itself: transformers takes an attention of the form `USER/REPOSITORY`
for a kernel on the hub, and open_clip a tower of the form `hf-hub:USER/REPOSITORY` for a network there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_vdb.errors import VdbError

_RESOLVED = {
    "attn_implementation": "/:",
    "_attn_implementation": "/:",
    "experts_implementation": "/:",
    "timm_model_name": ":",
    "hf_model_name": "",
    "hf_tokenizer_name": "",
}
"""Keys whose value a library looks up on the hub where it holds one of these characters; "": whatever it holds."""


def check_config(config: Any, *, where: Path, error: type[VdbError]) -> None:
    """Refuse a configuration, as JSON was read, that would fetch code or a network of its own choice.

    Raises:
        VdbError: of the kind `error`.
    """
    for key, name in _classes_asked_for(config):
        raise error(
            f"{key} asks for {name!r}, which would be fetched from the hub and run",
            where=where,
            mend="remove the entry; only weights are taken from a folder",
        )


def _classes_asked_for(config: Any) -> Iterator[tuple[str, str]]:
    """What is asked for anywhere in it."""
    if isinstance(config, dict):
        for key, value in config.items():
            marks = _RESOLVED.get(key)
            names = value.values() if isinstance(value, dict) else (value,)
            if marks is not None:
                yield from (
                    (key, name) for name in names if isinstance(name, str) and (not marks or set(name) & set(marks))
                )
            yield from _classes_asked_for(value)
    elif isinstance(config, list):
        for value in config:
            yield from _classes_asked_for(value)
