"""The declarative description of a model: data, and what every such description must hold to. No torch here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pytest_vdb.errors import CardError
from pytest_vdb.models.frame_rule import FrameRule
from pytest_vdb.records import Recipe, Task

TINY = Recipe(frames=9, height=32, width=32, steps=2, fps=8.0, dtype="float32")
"""What `tiny` weights are asked for, unless the card's `tiny` table says otherwise."""

CALLABLE = Recipe(frames=16, height=256, width=256, fps=8.0)
"""What a model without a diffusers pipeline is asked for, unless it says otherwise."""

ANY_FRAMES = FrameRule("any")
UNVERIFIED = "unverified"
"""The licence where nobody read one."""

_TASKS = f"one of: {', '.join(get_args(Task))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A component of a pipeline that is published in a repository of its own (a motion adapter, a ControlNet)."""

    component: str
    """Its name in the pipeline, e.g. `motion_adapter`."""
    type: str
    """Class name in diffusers or transformers, or the full path of a class that they do not export."""
    repository: str
    subfolder: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One model: what it is, where its weights are, what it can make and what it makes unless told otherwise."""

    name: str
    family: str
    task: Task = "t2v"
    """What it does unless told otherwise; one of `tasks`."""
    tasks: tuple[Task, ...] = ()
    pipeline: str | None = None
    """Class name in diffusers; None for a model that is a callable or a folder of clips."""
    repository: str | None = None
    revision: str | None = None
    """Commit of the repository; None: the latest, unpinned."""
    variant: str | None = None
    """Suffix of the weight files to prefer, e.g. `fp16`."""
    parts: tuple[Part, ...] = ()
    """Components that come from other repositories."""
    architecture: str | None = None
    """Preset of the full-size architecture that `random` weights are made for."""
    float32: tuple[str, ...] = ()
    """Components that stay in float32 whatever the recipe's dtype, as their authors advise."""
    call: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    """Arguments that every call of the full-size pipeline gets, e.g. a second expert's guidance."""
    scheduler: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    """What is changed in the published scheduler: `class`, and settings of it."""
    minimum_steps: int = 1
    warm_up: bool = True
    """Whether its first call in a process is made twice, so that what is timed is warm."""
    tags: tuple[str, ...] = ()
    parameters: float | None = None
    """Parameters of the denoiser (all of its experts), in billions."""
    licence: str = UNVERIFIED
    """Of the weights, as its source has it; `unverified` where nobody read one."""
    licence_source: str | None = None
    """Where the licence was read."""
    download_gb: float | None = None
    """Size of the repository's files that are downloaded."""
    hub_source: str | None = None
    """Where the revision and the download's size were read, if not on the Hub itself."""
    minimum_memory_gib: float | None = None
    """Published least GPU memory at the default recipe."""
    minimum_memory_source: str | None = None
    frame_rule: FrameRule = ANY_FRAMES
    size_multiple: int = 1
    """Height and width must be multiples of it."""
    defaults: Recipe = CALLABLE
    tiny: Recipe = TINY
    notes: str = ""
    broken: str | None = None
    """Why it cannot run in the installed libraries; a test of it is reported with this reason, not run."""
    where: str | None = None
    """File and line that the card came from; of recordings, the folder."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not isinstance(self.tags, tuple):
            raise CardError(f"model {self.name!r}, tags {self.tags!r}: a name is a text, tags are a tuple of texts")
        if self.task not in get_args(Task):
            raise CardError(f"model {self.name!r}: unknown task {self.task!r}", where=self.where, mend=_TASKS)
        if not self.tasks:
            object.__setattr__(self, "tasks", (self.task,))
        if not self.name or not self.name.isprintable() or self.name != self.name.strip():
            raise CardError(
                f"model name {self.name!r}", where=self.where, mend="use printable characters, no blanks around"
            )
        if self.task not in self.tasks:
            raise CardError(
                f"model {self.name!r}: task {self.task!r} is not among its tasks {self.tasks}", where=self.where
            )
        for field in ("size_multiple", "minimum_steps"):
            if not isinstance(value := getattr(self, field), int) or value < 1:
                what = f"model {self.name!r}: `{field}` is {value}"
                raise CardError(what, where=self.where, mend="give a whole number from 1")

    @property
    def labels(self) -> frozenset[str]:
        """Everything `tag:` selects it by: its tags, its tasks and its family."""
        return frozenset((*self.tags, *self.tasks, self.family))

    @property
    def pinned(self) -> str:
        """The revision as people read it."""
        return self.revision or "latest, unpinned"
