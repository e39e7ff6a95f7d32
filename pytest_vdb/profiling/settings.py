"""What the user chooses of a profiler: how often it looks at memory, and the prices that make costs of readings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Price:
    """What something costs, in the currency that the user wrote."""

    amount: float
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Nothing is on, and nothing has a price, unless somebody says so."""

    memory_rate_hz: float | None = None
    """How often to look at memory; None: a timeline is not kept."""
    gpu_hour: Price | None = None
    """Of one GPU for an hour."""
    kwh: Price | None = None
    """Of a kilowatt-hour."""
    grid_g_per_kwh: float | None = None
    """Grams of CO2 equivalent of a kilowatt-hour."""


NOTHING_CHOSEN = Settings()
