"""Plots as inline SVG, drawn in Python: pure functions from what records hold to a `Plot`, or why there is none.

Each stands on a page as `contract.figure` writes it, with `templates/plots.css` in the page's style.
"""
