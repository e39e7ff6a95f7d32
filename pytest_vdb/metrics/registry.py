"""Which metrics there are: names, globs and near misses. Listing them imports neither torch nor any network."""

from __future__ import annotations

import fnmatch
import importlib
from collections.abc import Iterator
from types import ModuleType

from pytest_vdb.errors import MetricError, UnknownName
from pytest_vdb.metrics.contract import MetricSpec, spec_of
from pytest_vdb.places import where_is

METRIC_MODULES: tuple[str, ...] = (
    "change",
    "picture",
    "similarity",
    "motion",
    "vbench",
    "fvd",
    "kernels",
    "fvmd",
    "inception_score",
    "diversity",
    "psnr",
    "ssim",
    "fsim",
    "lpips",
    "dists",
    "vmaf",
)
"""The modules with our own metrics, all light to import. A new file of metrics is a new line here."""


class MetricRegistry:
    """The metrics of one session; nothing is global."""

    def __init__(self) -> None:
        self._metrics: dict[str, MetricSpec] = {}

    @classmethod
    def builtin(cls) -> MetricRegistry:
        """The metrics that come with pytest-vdb."""
        registry = cls()
        for module in METRIC_MODULES:
            registry.add_from(importlib.import_module(f"pytest_vdb.metrics.{module}"))
        return registry

    def add(self, spec: MetricSpec) -> None:
        """Register one metric.

        Raises:
            MetricError: another function already has one of its names.
        """
        for name in spec.part_names():
            other = self._owner(name)
            if other is not None and other.function is not spec.function:
                raise MetricError(
                    f"two metrics are called {name!r}: in {where_is(other.function)} and in {where_is(spec.function)}",
                    mend="rename one of them",
                )
        self._metrics[spec.name] = spec

    def add_from(self, module: ModuleType | object) -> tuple[MetricSpec, ...]:
        """Register everything tagged with `@metric` in a module, plugin or class; returns what was found."""
        found = tuple(
            spec for thing in getattr(module, "__dict__", {}).values() if (spec := spec_of(thing)) is not None
        )
        for spec in found:
            self.add(spec)
        return found

    def names(self) -> tuple[str, ...]:
        """The metrics' names, in the order in which they were registered."""
        return tuple(self._metrics)

    def __iter__(self) -> Iterator[MetricSpec]:
        return iter(self._metrics.values())

    def get(self, name: str, *, where: str | None = None) -> MetricSpec:
        """The metric of that name, or the one that measures the part of that name.

        Raises:
            UnknownName: with the names it may have meant.
        """
        spec = self._owner(name)
        if spec is None:
            raise UnknownName("metric", name, self.names(), where=where, mend="`vdb metrics` lists them all.")
        return spec

    def select(self, expression: str, *, where: str = "--vdb-metrics", paired: bool = True) -> tuple[MetricSpec, ...]:
        """`default`, `all`, `none`, names and globs, comma-separated; each metric once, in the order of the expression.

        Args:
            paired: whether `default` means the paired metrics, too: whether there are clips to compare with.

        Raises:
            UnknownName: a name or glob that matches nothing.
        """
        chosen: dict[str, MetricSpec] = {}
        for term in filter(None, (part.strip() for part in expression.split(","))):
            chosen |= {spec.name: spec for spec in self._matching(term, where, paired)}
        return tuple(chosen.values())

    def _matching(self, term: str, where: str, paired: bool) -> tuple[MetricSpec, ...]:
        if term == "none":
            return ()
        if term == "all":
            return tuple(self)
        if term == "default":
            return tuple(spec for spec in self if spec.default and (paired or spec.scope != "pair"))
        if not set(term) & set("*?["):
            return (self.get(term, where=where),)
        matching = tuple(spec for spec in self if fnmatch.fnmatchcase(spec.name, term))
        if not matching:
            raise UnknownName("metric", term, self.names(), where=where, mend="`vdb metrics` lists them all.")
        return matching

    def _owner(self, name: str) -> MetricSpec | None:
        return self._metrics.get(name) or next((spec for spec in self if name in spec.part_names()), None)
