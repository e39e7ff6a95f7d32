"""One call of a torch network as an ONNX file that was checked against torch.

Shapes are static: a file answers calls with the tensor shapes and the other arguments that it was exported with. To
export another kind of network, nothing need be added here: inputs and outputs are found in the call itself.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import io
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pytest_vdb import files
from pytest_vdb.errors import LibraryMissing, OutputError, VdbError
from pytest_vdb.models import workshop
from pytest_vdb.models.onnx import operators
from pytest_vdb.records import digest

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
INSTALL = "pip install 'pytest-vdb[onnx]'"
TOLERANCE = {"float32": 1e-3, "float16": 5e-2}
"""Largest difference from torch, as a share of the largest value that torch gave (or of 1, if that is larger)."""

MODEL, ABOUT = "model.onnx", "about.json"
_CONSTANTS = (type(None), bool, int, float, str)


_WRITTEN = frozenset({"inputs", "present", "output", "export_s"})
DELETE = "delete the folder: it is made anew"


class CacheBroken(VdbError):
    """An exported call that is torn, or was written by something else."""


class NotExportable(VdbError):
    """A network that does not become an ONNX file which agrees with torch; its text is the reason."""


def missing_packages() -> tuple[str, ...]:
    """Those of `PACKAGES` that are not installed."""
    return tuple(name for name in PACKAGES if importlib.util.find_spec(name) is None)


def require_packages() -> None:
    """Check that export can work here.

    Raises:
        LibraryMissing: a package is not installed.
    """
    if missing := missing_packages():
        raise LibraryMissing(f"ONNX needs packages that are not installed: {', '.join(missing)}", mend=INSTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One way in which a network is called."""

    names: tuple[str, ...]
    """Of the tensors, as ONNX inputs."""
    tensors: tuple[Any, ...]
    leaves: tuple[Any, ...]
    """Every argument, tensors too, in the order of the tree."""
    tree: Any
    identity: str
    """Changes with shapes, dtypes and all arguments that are no tensors; not with the tensors' values."""


def call_of(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Take a call apart.

    Raises:
        NotExportable: an argument that is neither a tensor nor a plain value.
    """
    import torch
    from torch.utils import _pytree as pytree

    paths, tree = pytree.tree_flatten_with_path(dict(signature.bind(*args, **kwargs).arguments))
    named = [(re.sub(r"\W+", "_", pytree.keystr(path)).strip("_"), leaf) for path, leaf in paths]
    tensors = [(name, leaf) for name, leaf in named if isinstance(leaf, torch.Tensor)]
    plain = [(name, leaf) for name, leaf in named if not isinstance(leaf, torch.Tensor)]
    for name, leaf in plain:
        if not isinstance(leaf, (*_CONSTANTS, torch.dtype)):
            raise NotExportable(f"its argument {name} is a {type(leaf).__name__}, which no ONNX file can take")
    return Call(
        names=tuple(name for name, _ in tensors),
        tensors=tuple(leaf for _, leaf in tensors),
        leaves=tuple(leaf for _, leaf in named),
        tree=tree,
        identity=digest(
            [
                [[name, list(leaf.shape), str(leaf.dtype)] for name, leaf in tensors],
                [[name, repr(leaf)] for name, leaf in plain],
            ]
        ),
    )


class Graph:
    """An exported call in onnxruntime."""

    def __init__(self, folder: Path, device: str) -> None:
        """Open what `export` wrote.

        Args:
            folder: with `model.onnx` and `about.json`.
            device: a torch device; on CUDA, onnxruntime's CUDA provider is used where its build has one.
        """
        import onnxruntime
        import torch
        from torch.utils import _pytree as pytree

        self.about = read_about(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()  # as torch: the same clips, and no crowd under xdist
        options.log_severity_level = 3  # errors
        wanted = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
        providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
        self._session = onnxruntime.InferenceSession(
            files.regular(folder / MODEL, error=CacheBroken, mend=DELETE),
            options,
            providers=[*providers, "CPUExecutionProvider"],
        )
        self.provider: str = self._session.get_providers()[0]
        self._inputs = [entry.name for entry in self._session.get_inputs()]
        self._output = pytree.treespec_loads(self.about["output"])

    def run(self, call: Call) -> Any:
        """What the network would have returned, on the device of the call's first tensor."""
        import torch
        from torch.utils import _pytree as pytree

        tensors = dict(zip(call.names, call.tensors, strict=True))
        feed = {name: tensors[name].detach().cpu().contiguous().numpy() for name in self._inputs}
        made = iter(self._session.run(None, feed))
        device = call.tensors[0].device
        leaves = [torch.from_numpy(next(made)).to(device) if is_there else None for is_there in self.about["present"]]
        return pytree.tree_unflatten(leaves, self._output)


def export(method: Callable[..., Any], network: Any, call: Call, folder: Path, *, device: str) -> Graph:
    """Export a call, check it against torch and publish it atomically as `folder`.

    Args:
        method: what was called: `network`'s own forward, or another method of it.
        network: holds the weights.
        call: one real call.
        folder: becomes a folder with `model.onnx` and `about.json`; if another process was first, its files are kept.
        device: as for `Graph`.

    Raises:
        NotExportable: torch cannot export it, onnxruntime cannot run it, or the two disagree.
    """
    with workshop.finished_as(folder) as made:
        _write(method, network, call, made, device)
    return Graph(folder, device)


def read_about(folder: Path) -> dict[str, Any]:
    """What is written about an exported call, or about one that was refused.

    Raises:
        CacheBroken: it is torn.
    """
    about = files.read_json(folder / ABOUT, error=CacheBroken, mend=DELETE)
    if not isinstance(about, dict) or not ("refused" in about or about.keys() >= _WRITTEN):
        raise CacheBroken("is not what an export writes", where=folder / ABOUT, mend=DELETE)
    return about


def versions() -> dict[str, str]:
    """Of everything that decides what is in a file."""
    return {name: version(name) for name in ("torch", "diffusers", *PACKAGES)}


def _write(method: Callable[..., Any], network: Any, call: Call, folder: Path, device: str) -> None:
    import torch
    from torch.utils import _pytree as pytree

    for name, tensor in zip(call.names, call.tensors, strict=True):
        if tensor.dtype == torch.bfloat16:
            raise NotExportable(f"its input {name} is bfloat16, which onnxruntime does not take")
    with torch.no_grad():
        expected, output = pytree.tree_flatten(_called(method, call, call.tensors))
    present = [leaf is not None for leaf in expected]
    started = time.perf_counter()
    with _as_not_exportable("torch.onnx.export"), _quiet_export(), torch.no_grad():
        # Captured here: some versions of torch.onnx fall back to tracing, which bakes in what the data decided.
        captured = torch.export.export(_module(method, network, call), call.tensors, strict=False)
        program = torch.onnx.export(
            captured,
            call.tensors,
            input_names=call.names,
            dynamo=True,
            verbose=False,
            custom_translation_table=operators.corrections(),
        )
        assert program is not None
        program.save(folder / MODEL)
    about = {
        "network": type(network).__name__,
        "method": getattr(method, "__name__", "forward"),
        "inputs": {n: [str(t.dtype), *t.shape] for n, t in zip(call.names, call.tensors, strict=True)},
        "present": present,
        "output": pytree.treespec_dumps(output),
        "export_s": round(time.perf_counter() - started, 3),
        "versions": versions(),
    }
    _save_about(about, folder)
    with _as_not_exportable("onnxruntime"):
        graph = Graph(folder, device)
        found = pytree.tree_leaves(graph.run(call))
    difference, largest = _difference(expected, found)
    limit = TOLERANCE["float16" if torch.float16 in {t.dtype for t in call.tensors} else "float32"] * max(1.0, largest)
    if not difference <= limit:  # also where it is NaN
        raise NotExportable(f"onnxruntime differs from torch by {difference:.2g}, more than {limit:.2g}")
    _save_about(
        about | {"max_abs_difference": difference, "max_abs_value": largest, "provider": graph.provider}, folder
    )


def _save_about(about: dict[str, Any], folder: Path) -> None:
    files.write(folder / ABOUT, json.dumps(about, indent=2) + "\n")


def _difference(expected: list[Any], found: list[Any]) -> tuple[float, float]:
    """(largest absolute difference, largest absolute value of torch) over all outputs."""
    pairs = [
        (e.detach().double().cpu(), f.double().cpu()) for e, f in zip(expected, found, strict=True) if e is not None
    ]
    if any(e.shape != f.shape for e, f in pairs):
        raise NotExportable("onnxruntime returns other shapes than torch")
    return max(float((e - f).abs().max()) for e, f in pairs), max(float(e.abs().max()) for e, _ in pairs)


def _called(method: Callable[..., Any], call: Call, tensors: tuple[Any, ...]) -> Any:
    """Call with other tensors in the places of the tensors."""
    import torch
    from torch.utils import _pytree as pytree

    replaced = iter(tensors)
    leaves = [next(replaced) if isinstance(leaf, torch.Tensor) else leaf for leaf in call.leaves]
    bound = inspect.BoundArguments(inspect.signature(method), pytree.tree_unflatten(leaves, call.tree))
    return method(*bound.args, **bound.kwargs)


def _module(method: Callable[..., Any], network: Any, call: Call) -> Any:
    """What the exporter takes: a module from tensors to tensors."""
    import torch
    from torch.utils import _pytree as pytree

    class OneCall(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *tensors: Any) -> Any:
            return tuple(leaf for leaf in pytree.tree_leaves(_called(method, call, tensors)) if leaf is not None)

    return OneCall().eval()


@contextlib.contextmanager
def _as_not_exportable(who: str) -> Iterator[None]:
    """Exporters raise whatever the network's own code raises: any of it is the reason, but for a full machine."""
    import torch

    try:
        yield
    except (NotExportable, CacheBroken, OutputError, OSError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise NotExportable(f"{who}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """The first line of what began it all."""
    while (earlier := error.__cause__ or error.__context__) is not None:
        error = earlier
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    text = re.sub(r"Load model from .*? failed:", "", text)  # it lies in a folder that is gone when this is read
    return f"{type(error).__name__}: {text.partition(os.linesep)[0]}"[:300]


@contextlib.contextmanager
def _quiet_export() -> Iterator[None]:
    """The exporter prints its progress, and thousands of lines where it fails; the reason is in what it raises."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        unread = io.StringIO()
        with contextlib.redirect_stdout(unread), contextlib.redirect_stderr(unread):
            yield
    finally:
        logging.disable(before)
