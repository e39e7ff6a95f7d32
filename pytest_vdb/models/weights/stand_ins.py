"""Stand-ins for components that a pipeline insists on and a benchmark does not measure.

Imported only when one is built. `ConfigMixin` and `ModelMixin` must be attributes of this module: diffusers looks a
component's base classes up in the module that the component comes from.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin


class PassingSafetyChecker(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Lets every prompt and every clip pass: Cosmos refuses to run without a checker.

    Never used with published weights, whose licence asks for the real one.
    """

    config_name = "config.json"

    def __init__(self) -> None:
        super().__init__()
        # diffusers asks every component for its device and dtype, which it reads off a tensor.
        self.register_buffer("anchor", torch.zeros(1), persistent=False)

    def check_text_safety(self, _prompt: str) -> bool:
        """Whether the prompt may be answered: always."""
        return True

    def check_video_safety(self, frames: Any) -> Any:
        """The frames, as they are."""
        return frames

    def to(self, *_args: Any, **_settings: Any) -> PassingSafetyChecker:
        """Stay where it is: it computes nothing."""
        return self

    @property
    def device(self) -> torch.device:
        """Of the anchor."""
        return self.anchor.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the anchor."""
        return self.anchor.dtype
