"""A card's number of parameters beside what its architecture has: counted on the meta device, nothing is made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from pytest_vdb.components import DENOISERS
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.weights import architectures

TOLERANCE = 0.02
"""Difference up to which a card counts as right: published figures are rounded."""

SECOND_STAGES = frozenset({"latent_upsampler", "diffusion_decoder"})
"""What a figure is about where a pipeline has no denoiser: it makes clips larger, or decodes them, in one pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterCount:
    """One card's figure and the counted one, both in billions."""

    model: str
    counted: float | None
    """None: no full-size architecture is described for it."""
    card: float | None
    """None: the card gives none."""
    source: str | None = None
    """Where the architecture's published figure comes from, if there is one."""

    @property
    def difference(self) -> float | None:
        """Counted over the card's, less one; None where either is missing."""
        if self.counted is None or self.card is None:
            return None
        return self.counted / self.card - 1

    @property
    def agrees(self) -> bool | None:
        """Whether the two are within the tolerance; None where either is missing."""
        return None if self.difference is None else abs(self.difference) <= TOLERANCE


def count(card: ModelCard) -> ParameterCount:
    """Count the denoiser of a card's architecture.

    Raises:
        UnknownName: the card names an architecture that is not described.
    """
    if card.architecture is None:
        return ParameterCount(model=card.name, counted=None, card=card.parameters)
    return ParameterCount(
        model=card.name,
        counted=_denoiser_billions(card.architecture),
        card=card.parameters,
        source=architectures.preset(card.architecture).published.get("source"),
    )


@lru_cache
def _denoiser_billions(architecture: str) -> float:
    plan = architectures.preset(architecture)
    roles = plan.components.keys() & set(DENOISERS) or SECOND_STAGES
    return sum(architectures.count_parameters(architecture, only=roles).values()) / 1e9
