"""Which networks there are: names, globs and near misses. Listing them imports neither torch nor any network."""

from __future__ import annotations

import fnmatch
import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from types import ModuleType

from pytest_vdb import backbones
from pytest_vdb.backbones.contract import BackboneSpec, spec_of
from pytest_vdb.errors import MetricError, UnknownName
from pytest_vdb.places import where_is


class BackboneRegistry:
    """The networks of one session; nothing is global."""

    def __init__(self, networks: Iterable[BackboneSpec] = ()) -> None:
        self._networks: dict[str, BackboneSpec] = {}
        self._givers: dict[str, BackboneSpec] = {}
        for network in networks:
            self.add(network)

    @classmethod
    def builtin(cls) -> BackboneRegistry:
        """The networks that come with pytest-vdb: whatever a file of this room tags."""
        return cls(_our_backbones())

    def add(self, network: BackboneSpec) -> None:
        """Register one network; twice the same counts once.

        Raises:
            MetricError: another one has its name already, or gives a feature of the same name.
        """
        other = self._networks.get(network.name)
        if other is not None and other.opens is not network.opens:
            raise MetricError(f"two networks are called {network.name!r}: {_both(other, network)}", mend=_RENAME)
        for feature in network.features:
            other = self._givers.get(feature.name, network)
            if other.opens is not network.opens:
                raise MetricError(f"two networks give {feature.name!r}: {_both(other, network)}", mend=_RENAME)
            self._givers[feature.name] = network
        self._networks[network.name] = network

    def add_from(self, module: ModuleType | object) -> None:
        """Register everything tagged with `@backbone` in a module, plugin or class."""
        for network in _backbones_in(module):
            self.add(network)

    @property
    def givers(self) -> Mapping[str, BackboneSpec]:
        """Feature -> the network that gives it."""
        return self._givers

    def names(self) -> tuple[str, ...]:
        """The networks' names: ours by the alphabet, then those that were added."""
        return tuple(self._networks)

    def __iter__(self) -> Iterator[BackboneSpec]:
        return iter(self._networks.values())

    def get(self, name: str, *, where: str | None = None) -> BackboneSpec:
        """The network of exactly that name.

        Raises:
            UnknownName: with the names it may have meant.
        """
        if name not in self._networks:
            raise UnknownName("network", name, self.names(), where=where, mend=_LISTED)
        return self._networks[name]

    def select(self, expression: str) -> tuple[BackboneSpec, ...]:
        """`all`, names and globs, comma-separated; each network once, in the order of the expression.

        Raises:
            UnknownName: a name or glob that matches nothing, with the names it may have meant.
        """
        chosen: dict[str, BackboneSpec] = {}
        for term in filter(None, (part.strip() for part in expression.split(","))):
            found = [network for network in self if term == "all" or fnmatch.fnmatchcase(network.name, term)]
            chosen |= {network.name: network for network in found or (self.get(term),)}
        return tuple(chosen.values())


_RENAME = "rename one of them"
_LISTED = "`vdb backbones` lists them all."


@lru_cache(maxsize=1)
def _our_backbones() -> tuple[BackboneSpec, ...]:
    names = sorted(module.name for module in pkgutil.iter_modules(backbones.__path__) if not module.ispkg)
    modules = [importlib.import_module(f"{backbones.__name__}.{name}") for name in names]
    return tuple(sorted((network for module in modules for network in _backbones_in(module)), key=lambda one: one.name))


def _backbones_in(module: ModuleType | object) -> Iterator[BackboneSpec]:
    yield from (spec for thing in getattr(module, "__dict__", {}).values() if (spec := spec_of(thing)) is not None)


def _both(first: BackboneSpec, second: BackboneSpec) -> str:
    return f"in {where_is(first.opens)} and in {where_is(second.opens)}"
