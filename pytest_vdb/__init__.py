"""Benchmarks of video diffusion models as tests."""

__version__ = "0.1.0"
