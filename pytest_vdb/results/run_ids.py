"""What a run is called. Apart from all else: every session of pytest asks for one, and imports nothing for it."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime


def new_run_id() -> str:
    """Sorts by time, to the microsecond; two runs of the same one differ by chance."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%d-%H%M%S}-{now.microsecond:05x}{secrets.token_hex(1)}"
