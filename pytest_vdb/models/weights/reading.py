"""`from_pretrained` of a folder: what it cannot read is a broken folder, not a bug of the caller."""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_vdb.errors import LibraryMissing, VdbError, WeightsBroken
from pytest_vdb.models import classes
from pytest_vdb.models.card import Part
from pytest_vdb.models.weights import folders
from pytest_vdb.records import Recipe

_LONGEST_REASON = 500
_MOST_PARTS = 100_000
"""Modules of one pipeline. The largest models have ten thousand."""


def read_part(part: Part, folder: Path, recipe: Recipe) -> Any:
    """One component from its own folder, in the recipe's dtype if it has one.

    Raises:
        CardError: the installed libraries do not have its class.
        WeightsBroken, LibraryMissing: as `read_folder`.
    """
    import torch

    kind = classes.part_class(part)
    folders.check_part(folder)
    settings: dict[str, Any] = {"local_files_only": True}
    if issubclass(kind, torch.nn.Module):
        settings |= {"dtype": getattr(torch, recipe.dtype or "float32"), "use_safetensors": True}
    return read_folder(lambda: kind.from_pretrained(folder, **settings), folder, "the component")


def read_folder(load: Callable[[], Any], folder: Path, what: str) -> Any:
    """Call `from_pretrained`.

    Args:
        load: calls it.
        folder: what it reads.
        what: is read, for error messages.

    Raises:
        WeightsBroken: it cannot be read, whatever the libraries raise of it.
        LibraryMissing: it needs a library that is not installed.
    """
    import torch

    try:
        with _no_endless_network(folder), _no_weight_made_up(folder):
            return load()
    except (VdbError, MemoryError, torch.OutOfMemoryError):
        raise
    except ImportError as error:
        raise LibraryMissing(f"{what} needs a library: {_shortened(error)}", where=folder) from error
    except Exception as error:
        raise WeightsBroken(
            f"{what} cannot be loaded from it: {type(error).__name__}: {_shortened(error)}",
            where=folder,
            mend="is it the folder of another architecture or of an incomplete copy?",
        ) from error


def check_filled(components: Mapping[str, Any], folder: Path) -> None:
    """Refuse networks of which a weight stands in no file: diffusers leaves such a weight without any value.

    Args:
        components: of a pipeline, by name.
        folder: what they were read from.

    Raises:
        WeightsBroken: naming the component and its weights.
    """
    import torch

    for name, part in components.items():
        if not isinstance(part, torch.nn.Module):
            continue
        tensors = itertools.chain(part.named_parameters(), part.named_buffers())
        if absent := [key for key, tensor in tensors if tensor.is_meta]:
            raise WeightsBroken(f"its {name} lacks {_few_of(absent)}", where=folder, mend=folders.COPY_AGAIN)


def _few_of(weights: Sequence[str]) -> str:
    return ", ".join(weights[:3]) + (f" and {len(weights) - 3} more" if len(weights) > 3 else "")


def _shortened(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


@contextlib.contextmanager
def _no_weight_made_up(folder: Path) -> Iterator[None]:
    """Refuse what transformers fills with random values where the files lack a weight: it says so in its log alone."""
    log, heard = logging.getLogger("transformers.modeling_utils"), _LoadReports()
    level = log.level
    log.addHandler(heard)
    if not log.isEnabledFor(logging.WARNING):
        log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)
        log.removeHandler(heard)
    for network, absent in heard.missing:
        raise WeightsBroken(f"its {network} lacks {_few_of(absent)}", where=folder, mend=folders.COPY_AGAIN)


class _LoadReports(logging.Handler):
    """Hears the reports of transformers, one a network: lines of a weight, its status, and more."""

    def __init__(self) -> None:
        super().__init__()
        self.missing: list[tuple[str, list[str]]] = []
        """Class of the network, and the weights that stand in no file."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what is missing; whatever else a report says is harmless."""
        network, report, lines = re.sub(r"\x1b\[[\d;]*m", "", record.getMessage()).partition(" LOAD REPORT")
        absent = [line.partition("|")[0].strip() for line in lines.splitlines() if "MISSING" in line and "|" in line]
        if report and absent:
            self.missing.append((network, absent))


@contextlib.contextmanager
def _no_endless_network(folder: Path) -> Iterator[None]:
    """Stop a network that is built out of more parts than any has: a configuration may ask for a million layers."""
    from torch.nn.modules.module import register_module_module_registration_hook

    parts = itertools.count(1)

    def count(*_: Any) -> None:
        if next(parts) > _MOST_PARTS:
            raise WeightsBroken(
                f"its configuration describes more than {_MOST_PARTS:,} parts", where=folder, mend=folders.COPY_AGAIN
            )

    hook = register_module_module_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()
