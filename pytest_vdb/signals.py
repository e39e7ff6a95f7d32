"""The signals by which jobs end: SIGTERM of Slurm and Kubernetes, SIGHUP of a closed terminal; Ctrl-C is Python's."""

from __future__ import annotations

import signal

OF_AN_END = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Those that this system has."""
