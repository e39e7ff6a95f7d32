"""One command for whoever has a GPU: probes against second sources, four full-size models beside published figures.

    tox -e gpu                       # or, where the package is installed:
    python -m benchmarks.gpu         # in the project
    python -m pytest_vdb.benchmarks.gpu

A file is a part that yields rows, or serves them. Imports inside are relative: the folder has a name in the project and
another in the wheel. See docs/gpu/index.md.
"""
