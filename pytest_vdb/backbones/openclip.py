"""CLIP of any open_clip architecture: a clip's frames and a prompt's text as vectors of one space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb.backbones.contract import BackboneSource, Feature, Subject, backbone, declared
from pytest_vdb.backbones.weights import given_file, hub_file, own_or_published, weights_digest
from pytest_vdb.errors import UnknownName, WeightsBroken, WeightsMissing
from pytest_vdb.files import is_folder, is_there, read_json
from pytest_vdb.garbage import without_collections
from pytest_vdb.remote_code import check_config

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray


@backbone(
    "clip",
    features=(
        Feature("clip_image", about="(T, D) unit vectors, one per frame"),
        Feature("clip_text", about="(D,) unit vector of the prompt's text", of="prompt"),
        Feature("vbench_clip", about="(T, D) unit vectors after VBench's preprocessing"),
    ),
    about="CLIP ViT-B-32 as OpenAI trained it; any open_clip architecture through --vdb-backbone clip=...",
    repository="timm/vit_base_patch32_clip_224.openai",
    size_mib=578,
    licence="MIT",
    filename="open_clip_model.safetensors",
)
class OpenClip:
    """CLIP of any open_clip architecture: `clip_image`, `clip_text` and, through VBench's preprocessing, `vbench_clip`.

    Weights, in this order: `tiny`; `path` as a folder with `open_clip_config.json`; `path` as a file named after its
    architecture (`ViT-L-14-laion2b.safetensors`); `path` as `ARCHITECTURE:TAG` of open_clip's list of published
    weights; else ViT-B-32 as OpenAI published it.
    """

    DEFAULT = "ViT-B-32:openai"

    def __init__(self, source: BackboneSource) -> None:
        self._device = source.device
        self._texts: dict[str, NDArray[np.float32]] = {}
        if source.tiny:
            self._open_tiny()
        else:
            self._open(source)
        self.model.eval().requires_grad_(False).to(self._device)

    def features(self, name: str, subject: Subject) -> NDArray[np.float32]:
        """`clip_image` and `vbench_clip`: `(T, D)` unit vectors; `clip_text`: `(D,)` unit vector."""
        from pytest_vdb.backbones.networks.batches import in_batches, unit_rows

        if name == "clip_text":
            assert subject.prompt is not None
            return self._text(subject.prompt.text)
        assert subject.clip is not None
        prepare = self.prepare_as_vbench if name == "vbench_clip" else self.prepare
        return unit_rows(in_batches(self.model.encode_image, subject.clip.frames, prepare, self._device))

    def prepare(self, frames: torch.Tensor) -> torch.Tensor:
        """`uint8 (T, 3, H, W)` -> what the image tower takes; open_clip's own transform within 2 levels of 255."""
        from pytest_vdb.backbones.networks import frames as framing

        wanted = self.preprocessing
        height, width = wanted["size"]
        if wanted["resize_mode"] == "squash":
            resized = framing.resize(frames, (height, width), wanted["interpolation"])
        elif wanted["resize_mode"] == "shortest" and height == width:
            resized = framing.resize_and_centre(frames, height, wanted["interpolation"])
        else:  # padding or a square forced into a rectangle: rare enough for open_clip's own, slow way
            return self._prepare_by_pillow(frames)
        return framing.normalise(resized, wanted["mean"], wanted["std"])

    def prepare_as_vbench(self, frames: torch.Tensor) -> torch.Tensor:
        """What VBench's `clip_transform` makes of the frames: bicubic without antialiasing, in floating point."""
        from pytest_vdb.backbones.networks import frames as framing

        size = self.preprocessing["size"][0]
        resized = framing.centre(framing.plain_resize_short_side(frames, size, "bicubic"), size)
        return framing.normalise(resized, self.preprocessing["mean"], self.preprocessing["std"])

    def _prepare_by_pillow(self, frames: torch.Tensor) -> torch.Tensor:
        import torch
        from open_clip.transform import PreprocessCfg, image_transform_v2
        from PIL import Image

        transform = image_transform_v2(PreprocessCfg(**self.preprocessing), is_train=False)
        pictures = frames.permute(0, 2, 3, 1).cpu().numpy()
        return torch.stack([transform(Image.fromarray(picture)) for picture in pictures]).to(frames.device)

    def _text(self, text: str) -> NDArray[np.float32]:
        """Kept per text: every model answers the same prompts."""
        import torch

        from pytest_vdb.backbones.networks.batches import unit_rows

        if text not in self._texts:
            with torch.inference_mode():
                tokens = self._tokenizer([text]).to(self._device)
                self._texts[text] = unit_rows(self.model.encode_text(tokens))[0]
        return self._texts[text]

    def _open_tiny(self) -> None:
        with without_collections():
            import open_clip

        from pytest_vdb.backbones.networks.batches import seeded

        vision = {"image_size": 64, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16}
        text = {"context_length": 77, "vocab_size": 49408, "width": 24, "heads": 2, "layers": 2}
        self.model = seeded(lambda: open_clip.CLIP(embed_dim=32, vision_cfg=vision, text_cfg=text))
        self._tokenizer: Callable[[list[str]], torch.Tensor] = open_clip.tokenize
        self.preprocessing = _preprocessing({"size": 64})
        self.identity = "tiny"

    def _open(self, source: BackboneSource) -> None:
        weights = _Weights.of(source)
        import open_clip

        self.model = weights.open()
        self._tokenizer = open_clip.get_tokenizer(weights.architecture)
        self.preprocessing = _preprocessing(self.model.visual.preprocess_cfg)
        name = Path(weights.architecture).name + ("-quickgelu" if weights.quick_gelu else "")
        self.identity = f"{name}@{weights_digest(weights.file)}"


def _preprocessing(given: dict[str, Any]) -> dict[str, Any]:
    """open_clip's preprocessing settings, its defaults filled in, `size` as (height, width)."""
    from open_clip.transform import PreprocessCfg, merge_preprocess_dict

    settings: dict[str, Any] = merge_preprocess_dict(PreprocessCfg(), given)
    size = settings["size"]
    return {**settings, "size": (size, size) if isinstance(size, int) else tuple(size)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weights:
    """Which architecture, and the file that holds its weights."""

    architecture: str
    """open_clip's name for it; `local-dir:FOLDER` where a folder describes its own."""
    file: Path
    quick_gelu: bool = False
    """Whether these weights were trained with the approximate GELU that the architecture's name does not tell."""

    @classmethod
    def of(cls, source: BackboneSource) -> _Weights:
        """What the source names.

        Raises:
            WeightsMissing: not here, and not to be had now.
            WeightsBroken: the path does not say which architecture it holds.
        """
        if source.path is None:
            return cls._default(source)
        if ":" in str(source.path) and not is_there(source.path):
            return cls._published(str(source.path), source)
        path = given_file(source.path, backbone="clip")
        return cls._in_folder(path) if is_folder(path) else cls._in_file(path)

    @classmethod
    def _default(cls, source: BackboneSource) -> _Weights:
        """Looked for before open_clip is imported: that takes seconds, for nothing where there are no weights."""
        file = own_or_published(declared(OpenClip), source)
        import open_clip

        known = open_clip.get_pretrained_cfg(*OpenClip.DEFAULT.split(":"))
        return cls(architecture=OpenClip.DEFAULT.partition(":")[0], file=file, quick_gelu=bool(known.get("quick_gelu")))

    @classmethod
    def _published(cls, name: str, source: BackboneSource) -> _Weights:
        import open_clip

        architecture, _, tag = name.partition(":")
        known = open_clip.get_pretrained_cfg(architecture, tag)
        if not known.get("hf_hub"):
            raise UnknownName("CLIP", name, open_clip.list_pretrained(as_str=True), where="--vdb-backbone clip")
        repository, _, filename = known["hf_hub"].rpartition("/")
        file = hub_file(
            repository,
            filename or declared(OpenClip).filename,
            offline=source.offline,
            backbone="clip",
            size_mib=None,
        )
        return cls(architecture=architecture, file=file, quick_gelu=bool(known.get("quick_gelu")))

    @classmethod
    def _in_folder(cls, folder: Path) -> _Weights:
        files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
        config = folder / "open_clip_config.json"
        if not is_there(config) or not files:
            raise WeightsMissing(
                f"{folder} holds no CLIP",
                where="--vdb-backbone clip",
                mend="a folder needs open_clip_config.json and a safetensors file",
            )
        check_config(read_json(config, error=WeightsBroken), where=config, error=WeightsBroken)
        return cls(architecture=f"local-dir:{folder}", file=files[0])

    @classmethod
    def _in_file(cls, path: Path) -> _Weights:
        import open_clip

        named = [known for known in open_clip.list_models() if path.stem.startswith(known)]
        if not named:
            raise WeightsBroken(
                f"the name of {path} does not begin with an open_clip architecture",
                where="--vdb-backbone clip",
                mend="name the file ARCHITECTURE-TAG, e.g. ViT-L-14-openai.safetensors, or give a folder with "
                "open_clip_config.json beside the weights",
            )
        architecture = max(named, key=len)
        tag = path.stem.removeprefix(architecture).strip("-_")
        known = open_clip.get_pretrained_cfg(architecture, tag)
        return cls(architecture=architecture, file=path, quick_gelu=bool(known.get("quick_gelu")))

    def open(self) -> Any:
        """The model, on the CPU.

        Raises:
            WeightsBroken: the file cannot be read as this architecture.
        """
        import open_clip

        options: dict[str, Any] = {} if self.architecture.startswith("local-dir:") else {"pretrained": str(self.file)}
        if self.quick_gelu:
            options["force_quick_gelu"] = True
        try:
            return open_clip.create_model(self.architecture, pretrained_text=False, require_pretrained=True, **options)
        except Exception as error:  # open_clip, torch, safetensors and json each raise their own for a broken file
            first_line = str(error).partition("\n")[0]
            raise WeightsBroken(
                f"{self.file} cannot be read as CLIP {self.architecture}: {first_line}",
                where="--vdb-backbone clip",
                mend="a safetensors file or weights-only checkpoint of that very architecture is needed",
            ) from error
