"""What a network is: a class, tagged, that gives features; what a metric names a parameter after.

```python
@backbone("colours", features="mean_colour")
class Colours:
    \"""The mean colour of each frame.\"""

    identity = "mean"

    def __init__(self, source): ...

    def features(self, name, subject):
        return subject.clip.frames.mean(axis=(1, 2), dtype="float32")
```

The engine opens it when the first clip is measured by a metric that asks for one of its features, computes each feature
once per clip, and hands the same array to every metric that asks. A file with a tag is light to import: torch comes in
where the network is opened.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from pytest_vdb.errors import MetricError
from pytest_vdb.places import where_is
from pytest_vdb.records import Clip, Prompt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SET_SUFFIX = "_set"
REFERENCE_SUFFIX = "_reference"
"""What a metric adds to a feature's name to ask for that of all clips of a model, or of the reference set."""
TAKEN = ("clip", "prompt", "reference", "clips", "prompts")
"""What a metric's parameter means whatever the networks give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSource:
    """Where a backbone's weights come from and where it runs: what every `Backbone` is constructed with."""

    path: Path | None = None
    """The user's local weights; None: the published ones, from the cache or the hub."""
    tiny: bool = False
    """A tiny architecture with seeded random weights: proves the wiring, needs no file."""
    device: str = "cpu"
    cache_dir: Path = Path()
    offline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is being measured: a clip, the prompt it answers, and the clip it is compared with."""

    clip: Clip | None = None
    prompt: Prompt | None = None
    reference: Clip | None = None


class Backbone(Protocol):
    """A network, constructed with a `BackboneSource`.

    Its constructor raises `WeightsMissing` (with what to download, its size and the command) or `WeightsBroken`.
    """

    identity: str
    """Which weights these are, e.g. `ViT-B-32:openai`: joins the version of every metric that looks through them."""

    def features(self, name: str, subject: Subject) -> NDArray[np.float32]:
        """The feature of that name, as its `Feature` describes it.

        Raises:
            CannotMeasure: this subject has no such feature (too few frames, say).
        """
        ...


@dataclass(frozen=True, slots=True)
class Feature:
    """One array that a network gives, by the name of the parameter that asks for it."""

    name: str
    about: str = field(default="", kw_only=True)
    """Shape, meaning and preprocessing."""
    of: Literal["clip", "prompt", "pair"] = field(default="clip", kw_only=True)
    """What it is computed from; `pair` is the clip and its reference."""
    frames: int = field(default=1, kw_only=True)
    """The fewest frames of a clip that has it."""
    recorded: bool = field(default=True, kw_only=True)
    """Small enough to be kept with the record, so that re-scoring and set metrics need no clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """Everything that is declared about a network."""

    name: str
    """What `--vdb-backbone NAME=PATH` calls it."""
    opens: Callable[[BackboneSource], Backbone]
    """The class."""
    features: tuple[Feature, ...]
    about: str
    repository: str
    """The hub repository or address of the published weights; empty where there are none to get."""
    size_mib: float
    licence: str
    filename: str
    """In a hub repository, the file with the weights."""
    sha256: str
    """Of the published file, where its name does not end in it."""

    def open(self, source: BackboneSource) -> Backbone:
        """Load the weights.

        Raises:
            WeightsMissing, WeightsBroken: they are not here and not to be had now, or cannot be read.
            MetricError: it does not say which weights it has.
        """
        opened = self.opens(source)
        if not isinstance(getattr(opened, "identity", None), str):
            raise MetricError(
                f"network {self.name!r} does not say which weights it looks through",
                where=where_is(self.opens),
                mend="set self.identity to their name or digest: values through other weights are never compared",
            )
        return opened

    def feature(self, name: str) -> Feature:
        """Its feature of that name."""
        return {feature.name: feature for feature in self.features}[name]


F = TypeVar("F", bound=Callable[..., Any])
_TAG = "__vdb_backbone__"


def backbone(
    name: str,
    *,
    features: str | Feature | Iterable[str | Feature],
    about: str = "",
    repository: str = "",
    size_mib: float = 0.0,
    licence: str = "",
    filename: str = "model.safetensors",
    sha256: str = "",
) -> Callable[[F], F]:
    """Tag a class as a network. It stays a plain class: construct it, call it, test it.

    Args:
        name: what `--vdb-backbone NAME=PATH` and `vdb backbones` call it.
        features: what it gives; a name alone is one array per clip, of any number of frames, that is kept.
        about: one line for `vdb backbones`; the first of the docstring if not given.
        repository: hub repository or https address of the published weights.
        size_mib: of the download.
        licence: of the weights.
        filename: in a hub repository, the file with the weights.
        sha256: of the published file, where its name does not end in it.

    Raises:
        MetricError: a tag that makes no sense.
    """
    given = (features,) if isinstance(features, str | Feature) else tuple(features)

    def tag(network: F) -> F:
        spec = BackboneSpec(
            name=name,
            opens=network,
            features=tuple(Feature(one) if isinstance(one, str) else one for one in given),
            about=about or (inspect.getdoc(network) or "").partition("\n")[0],
            repository=repository,
            size_mib=size_mib,
            licence=licence,
            filename=filename,
            sha256=sha256,
        )
        _check_backbone(spec)
        setattr(network, _TAG, spec)
        return network

    return tag


def spec_of(thing: object) -> BackboneSpec | None:
    """The tag of a class, or None: it is no network. A class that inherits from a network is not tagged by that."""
    spec = vars(thing).get(_TAG) if hasattr(thing, "__dict__") else None
    return spec if isinstance(spec, BackboneSpec) else None


def declared(network: object) -> BackboneSpec:
    """What a network's own class declares: where its weights are published, say."""
    spec: BackboneSpec = getattr(network, _TAG)
    return spec


def _check_backbone(spec: BackboneSpec) -> None:
    if (wrong := _why_no_backbone(spec)) is not None:
        said, mend = wrong
        raise MetricError(said, where=where_is(spec.opens), mend=mend)


def _why_no_backbone(spec: BackboneSpec) -> tuple[str, str] | None:
    """What is wrong with a tag, and what to do; where it stands is looked up only then: that reads the whole file."""
    if not spec.name or any(letter.isspace() or letter in ",:=*?[]" for letter in spec.name):
        return f"network name {spec.name!r}", "no spaces, commas, colons, equals signs or globs in a name"
    if not spec.features:
        return f"network {spec.name!r} gives no feature", 'features="my_feature", say'
    for feature in spec.features:
        wrong = not feature.name.isidentifier() or feature.name.endswith((SET_SUFFIX, REFERENCE_SUFFIX))
        if wrong or feature.name in TAKEN:
            mend = "a metric names a parameter after it: an identifier that does not end in "
            mend += f"{SET_SUFFIX} or {REFERENCE_SUFFIX} and is none of {', '.join(TAKEN)}"
            return f"network {spec.name!r} gives a feature named {feature.name!r}", mend
    try:
        inspect.signature(spec.opens).bind(BackboneSource())
    except TypeError as error:
        mend = "give it __init__(self, source): where weights come from and where it runs"
        return f"network {spec.name!r} cannot be opened: {error}", mend
    if not callable(getattr(spec.opens, "features", None)):
        mend = "give it features(self, name, subject), which returns a float32 array"
        return f"network {spec.name!r} has no method `features`", mend
    return None
