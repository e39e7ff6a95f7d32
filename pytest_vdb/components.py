"""What diffusers calls the parts of a pipeline, and we its stages: said once, for whoever drives or watches one."""

from __future__ import annotations

DENOISERS = ("transformer", "transformer_2", "unet")
"""Components that predict noise: what attention, casting, caching, compiling, quantisation and export act on."""

TEXT_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3", "text_encoder_4")
"""Components that turn the prompt into what the denoiser is told."""
PROCESSORS = ("video_processor", "image_processor")
"""What turns decoded latents into frames."""

STAGES = ("text_encoding", "encoding", "denoising", "decoding", "postprocessing")
"""What a pipeline goes through, in this order; `denoising_time` and the like are read of each."""
