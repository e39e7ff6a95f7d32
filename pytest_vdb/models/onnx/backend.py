"""`backend=onnx`: a pipeline whose denoiser and VAE decoder run in onnxruntime.

Each `Part` takes the place of one method of a network that stays where it is, so diffusers still finds its config, its
dtype and its hooks. Calls are exported as they come, one file for each combination of shapes, and kept in the cache;
a short trial generation brings them all about before the first real one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from pytest_vdb import files
from pytest_vdb.components import DENOISERS
from pytest_vdb.errors import OptionError, RecipeError
from pytest_vdb.models import workshop
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.onnx import graphs
from pytest_vdb.models.onnx.graphs import ABOUT, Graph, NotExportable
from pytest_vdb.places import code_beside
from pytest_vdb.records import Prompt, Recipe, digest

Generate = Callable[[Prompt, Recipe, int], Any]
"""A model's `generate`."""

DENOISER, VAE_DECODER = "denoiser", "vae-decoder"
PARTS = (DENOISER, VAE_DECODER)
FOLDER = "onnx"
"""In the folder of cached weights."""
TRIAL = Prompt(id="onnx-trial", text="a red ball rolls over a table")
TRIAL_STEPS = 4
MOST_CALLS = 8
"""Files for one part. A pipeline that needs more passes something new at every step."""


class Part:
    """One network's method, answered by onnxruntime."""

    def __init__(self, name: str, network: Any, method: Callable[..., Any], folder: Path, device: str) -> None:
        self.name = name
        """The component (`transformer`, `transformer_2`, `unet`), or `vae-decoder`."""
        self.network = network
        self.method = method
        self.folder = folder
        self.required = False
        """Whether what cannot be exported is an error; else torch answers it."""
        self.refused: str | None = None
        """Why torch answers at least one kind of call."""
        self.provider: str | None = None
        self.__signature__ = inspect.signature(method)  # some pipelines read a denoiser's
        self._device = device
        self._graphs: dict[str, Graph | str] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Answer a call, exporting it if it is of a new kind.

        Raises:
            NotExportable: it cannot be exported, and the part is required.
        """
        try:
            call = graphs.call_of(self.__signature__, args, kwargs)
            graph = self._graph(call)
        except NotExportable as error:
            self.refused = str(error)
            if self.required:
                raise NotExportable(f"{type(self.network).__name__}: {error}") from error
            return self.method(*args, **kwargs)
        self.provider = graph.provider
        return graph.run(call)

    def exports(self) -> list[tuple[Path, dict[str, Any]]]:
        """The folders and descriptions of what was exported, in the order of their names."""
        found = {path.parent: graphs.read_about(path.parent) for path in self.folder.glob(f"[!.]*/{ABOUT}")}
        return [(folder, found[folder]) for folder in sorted(found) if "refused" not in found[folder]]

    def notes(self) -> tuple[str, ...]:
        """What ran where, for the reader of a result."""
        ran = (f"{self.name} ran in onnxruntime ({self.provider})",) if self.provider is not None else ()
        return ran if self.refused is None else (*ran, f"{self.name} stayed in torch: {self.refused}")

    def _graph(self, call: graphs.Call) -> Graph:
        if call.identity not in self._graphs:
            if len(self._graphs) >= MOST_CALLS:
                raise NotExportable(f"it is called in more than {MOST_CALLS} ways, and shapes are static")
            self._graphs[call.identity] = self._found_or_made(call)
        graph = self._graphs[call.identity]
        if isinstance(graph, str):
            raise NotExportable(graph)
        return graph

    def _found_or_made(self, call: graphs.Call) -> Graph | str:
        """From the cache or exported now; the reason, where it was or is refused. What is torn is exported anew."""
        folder = self.folder / call.identity
        if files.is_there(folder):
            try:
                return self._found(folder)
            except Exception:  # noqa: BLE001 - onnxruntime raises anything of a file that is torn
                workshop.discard(folder)
        try:
            return graphs.export(self.method, self.network, call, folder, device=self._device)
        except NotExportable as error:
            with workshop.finished_as(folder) as made:  # so that later runs need not try again; other versions do
                files.write(made / ABOUT, json.dumps({"refused": str(error)}) + "\n")
            return str(error)

    def _found(self, folder: Path) -> Graph | str:
        refused: str | None = graphs.read_about(folder).get("refused")
        return Graph(folder, self._device) if refused is None else refused


def use(
    pipeline: Any, card: ModelCard, recipe: Recipe, *, generate: Generate, cache_dir: Path, device: str
) -> tuple[Part, ...]:
    """Move a loaded pipeline's denoiser, and its VAE decoder if that can be exported, to onnxruntime.

    Args:
        pipeline: loaded, with every switch set.
        card: of the model.
        recipe: as `recipes.resolve` returned it.
        generate: answers a prompt with the pipeline; asked once where nothing is exported yet.
        cache_dir: where exported files are kept between runs.
        device: of the pipeline.

    Raises:
        RecipeError: the denoiser cannot be exported, with the reason.
    """
    parts = install(pipeline, card, recipe, cache_dir=cache_dir, device=device, names=PARTS)
    for part in parts:
        part.required = part.name != VAE_DECODER
    try:
        if not all(files.is_folder(part.folder) for part in parts):
            try_out(generate, recipe, parts)
        for part in parts:
            if part.required:
                _refuse_what_was_refused(part)
    except NotExportable as error:
        raise RecipeError(
            "cannot follow backend=onnx",
            where=f"model {card.name}",
            mend=f"the denoiser cannot be exported: {error}",
        ) from error
    return parts


def install(
    pipeline: Any, card: ModelCard, recipe: Recipe, *, cache_dir: Path, device: str, names: Collection[str]
) -> tuple[Part, ...]:
    """Put parts in the place of a pipeline's methods; nothing is exported yet.

    Args:
        names: of `PARTS`.

    Raises:
        LibraryMissing: a package is not installed.
        OptionError: the pipeline has none of the parts.
    """
    graphs.require_packages()
    found = {name: (network, "forward") for name in DENOISERS if (network := getattr(pipeline, name, None))}
    wanted = found if DENOISER in names else {}
    vae = getattr(pipeline, "vae", None)
    if VAE_DECODER in names and hasattr(vae, "decode"):
        wanted = {**wanted, VAE_DECODER: (vae, "decode")}
    if not wanted:
        raise OptionError(f"{type(pipeline).__name__} has none of {', '.join(names)}", where=f"model {card.name}")
    parts = []
    for name, (network, method) in wanted.items():
        folder = cache_dir / f"{card.name}-{name}-{_identity_of_network(card, recipe, network)}"
        part = Part(name, network, getattr(network, method), folder, device)
        setattr(network, method, part)
        parts.append(part)
    return tuple(parts)


def try_out(generate: Generate, recipe: Recipe, parts: Collection[Part]) -> None:
    """Generate once with few steps, so that every part sees its calls and exports them."""
    steps = min(recipe.steps or TRIAL_STEPS, TRIAL_STEPS)
    generate(TRIAL, dataclasses.replace(recipe, steps=steps), 0)
    for part in parts:
        files.make_folder(part.folder)  # also of one that few steps do not reach


def _refuse_what_was_refused(part: Part) -> None:
    for path in part.folder.glob(f"[!.]*/{ABOUT}"):
        about = graphs.read_about(path.parent)
        if "refused" in about:
            raise NotExportable(f"{type(part.network).__name__}: {about['refused']}")


def _identity_of_network(card: ModelCard, recipe: Recipe, network: Any) -> str:
    """Of everything that an exported file depends on, the weights' values among it (a LoRA is part of them)."""
    return digest(
        {
            "pipeline": card.pipeline,
            "recipe": recipe.digest(),
            "network": [type(network).__name__, repr(sorted(dict(network.config).items()))],
            "weights": _digest_of_weights(network),
            "code": code_beside(__file__),
            "versions": graphs.versions(),
        }
    )


def _digest_of_weights(network: Any) -> str:
    import torch

    state = hashlib.blake2b(digest_size=16)
    for name, tensor in network.state_dict().items():
        state.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        state.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return state.hexdigest()
