"""`python -m pytest_vdb`: the command `vdb`, where a Python is named and not a script."""

from __future__ import annotations

import sys

from pytest_vdb.cli import main

if __name__ == "__main__":
    sys.exit(main())
