"""The recipe's `scheduler`: whether a class and a model can follow another one, and the change on what was loaded."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pytest_vdb.models import classes
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.pipelines import quirks
from pytest_vdb.models.pipelines.reasons import Reason, unknown_value
from pytest_vdb.models.weights import blueprints
from pytest_vdb.records import Recipe

FLOW_SCHEDULERS = frozenset({"LTXEulerAncestralRFScheduler"})
"""Flow-matching schedulers whose names do not say so."""


def why_no_scheduler(kind: Any, value: str) -> Reason:
    """Why a class cannot follow that scheduler, whatever the model."""
    import diffusers

    if "scheduler" not in classes.components(kind):
        return f"{kind.__name__} has no scheduler"
    if quirks.of(kind.__name__).own_scheduler or _insists_on_a_scheduler(kind):
        return f"{kind.__name__} works with its own scheduler only"
    known = [name for name in dir(diffusers) if name.endswith("Scheduler")]
    if value not in known:
        return unknown_value(value, known)
    takes = inspect.signature(getattr(diffusers, value).set_timesteps).parameters
    if quirks.of(kind.__name__).gives_sigmas and "sigmas" not in takes:
        return f"{kind.__name__} gives its scheduler noise levels (sigmas), and {value} takes none"
    return None


def _insists_on_a_scheduler(kind: Any) -> bool:
    """Blocks that work with any scheduler ask for their base class; others name the one that they call."""
    import diffusers

    return classes.is_modular(kind) and diffusers.SchedulerMixin not in classes.component_classes(kind, "scheduler")


def why_unlike_the_described(card: ModelCard, recipe: Recipe) -> Reason:
    """Why a scheduler cannot follow the model, as far as the model's own one is described in `architectures/`."""
    import diffusers

    tiny = recipe.weights == "tiny"
    scale, name = ("tiny", card.pipeline) if tiny else ("full", card.architecture)
    plan = blueprints.blueprints(scale).get(name or "")
    own = plan.components.get("scheduler") if plan is not None else None
    if not isinstance(own, dict) or "class" not in own:
        return None
    named = own["class"] if tiny else card.scheduler.get("class", own["class"])
    return _mismatch(named.rpartition(".")[2], own, getattr(diffusers, recipe.scheduler or ""))


def _mismatch(own: str, config: Mapping[str, Any], other: Any) -> Reason:
    """Flow-matching models stay so: DDIM on one would make noise."""
    takes = inspect.signature(other).parameters
    if _is_flow(own, config):
        follows = _is_flow(other.__name__, {}) or "use_flow_sigmas" in takes
        return None if follows else f"{other.__name__} cannot follow a flow-matching model"
    if _is_flow(other.__name__, {}):
        return f"{other.__name__} is for flow-matching models, and this one predicts noise"
    return None


def change_scheduler(pipeline: Any, changes: Mapping[str, Any]) -> None:
    """Another scheduler with the old one's settings.

    Args:
        pipeline: a loaded pipeline.
        changes: `class`, a scheduler of diffusers (the same if absent); everything else is a setting of it.

    Raises:
        ValueError: the new class cannot follow the model.
    """
    import diffusers

    old = pipeline.scheduler
    kind = getattr(diffusers, changes.get("class", type(old).__name__))
    takes = inspect.signature(kind).parameters
    flow_now = _is_flow(type(old).__name__, old.config)
    settings: dict[str, Any] = {}
    if (reason := _mismatch(type(old).__name__, old.config, kind)) is not None:
        raise ValueError(reason)
    if flow_now and not _is_flow(kind.__name__, {}):
        shift = old.config.get("shift") or old.config.get("flow_shift") or 1.0
        settings = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": shift}
    elif flow_now and "flow_shift" in old.config and "shift" in takes:
        settings = {"shift": old.config["flow_shift"]}
    settings |= {name: value for name, value in changes.items() if name != "class"}
    put = pipeline.update_components if classes.is_modular(type(pipeline)) else pipeline.register_modules
    put(scheduler=kind.from_config(old.config, **settings))


def set_scheduler(pipeline: Any, recipe: Recipe, _device: str) -> None:
    """The recipe's scheduler in the place of the model's own."""
    change_scheduler(pipeline, {"class": recipe.scheduler})


def _is_flow(name: str, config: Mapping[str, Any]) -> bool:
    return "FlowM" in name or name in FLOW_SCHEDULERS or bool(config.get("use_flow_sigmas"))
