"""What diffusers calls the parts of a pipeline: said once, for whoever drives one and for whoever watches one."""

from __future__ import annotations

DENOISERS = ("transformer", "transformer_2", "unet")
"""Components that predict noise: what attention, casting, caching, compiling, quantisation and export act on."""
