"""Which metrics there are: names, globs and near misses. Listing them imports neither torch nor any network."""

from __future__ import annotations

import fnmatch
import importlib
import pkgutil
from collections.abc import Iterator
from functools import lru_cache
from types import ModuleType

from pytest_vdb import metrics
from pytest_vdb.backbones.registry import BackboneRegistry
from pytest_vdb.errors import MetricError, UnknownName
from pytest_vdb.metrics.contract import SCOPES, MetricSpec, check_known, looking_through, spec_of
from pytest_vdb.places import where_is
from pytest_vdb.records import OVERALL


class MetricRegistry:
    """The metrics of one session; nothing is global.

    Args:
        backbones: the session's networks; default: ours.
    """

    def __init__(self, backbones: BackboneRegistry | None = None) -> None:
        self.backbones = backbones or BackboneRegistry.builtin()
        self._metrics: dict[str, MetricSpec] = {}

    @classmethod
    def builtin(cls, backbones: BackboneRegistry | None = None) -> MetricRegistry:
        """The metrics that come with pytest-vdb: whatever a file of this room tags; of clips, of sets, of pairs."""
        registry = cls(backbones)
        for spec in _our_metrics():
            registry.add(spec)
        return registry

    def add(self, spec: MetricSpec) -> MetricSpec:
        """Register one metric.

        Returns:
            It, looking through this session's networks.

        Raises:
            MetricError: another function already has one of its names, or it asks for what nothing gives.
        """
        if spec.unknown:
            spec = looking_through(self.backbones, spec)
            check_known(spec, self.backbones)
        for name in spec.part_names():
            if name == OVERALL:
                said = f"a metric is called {name!r}, as a leaderboard calls what it makes of several: in "
                raise MetricError(f"{said}{where_is(spec.function)}", mend="rename it")
            other = self._owner(name)
            if other is not None and other.function is not spec.function:
                raise MetricError(
                    f"two metrics are called {name!r}: in {where_is(other.function)} and in {where_is(spec.function)}",
                    mend="rename one of them",
                )
        self._metrics[spec.name] = spec
        return spec

    def add_from(self, module: ModuleType | object) -> tuple[MetricSpec, ...]:
        """Register everything tagged with `@metric` in a module, plugin or class, and the networks that it tags.

        Returns:
            The metrics that were found.
        """
        self.backbones.add_from(module)
        return tuple(self.add(spec) for spec in _metrics_in(module))

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


@lru_cache(maxsize=1)
def _our_metrics() -> tuple[MetricSpec, ...]:
    names = sorted(module.name for module in pkgutil.iter_modules(metrics.__path__) if not module.ispkg)
    modules = [importlib.import_module(f"{metrics.__name__}.{name}") for name in names]
    found = dict.fromkeys(spec for module in modules for spec in _metrics_in(module))
    return tuple(sorted(found, key=lambda spec: SCOPES.index(spec.scope)))


def _metrics_in(module: ModuleType | object) -> Iterator[MetricSpec]:
    """What is tagged among a module's names, and in its tables of equal metrics."""
    for thing in getattr(module, "__dict__", {}).values():
        for one in thing if isinstance(thing, tuple) else (thing,):
            if (spec := spec_of(one)) is not None:
                yield spec
