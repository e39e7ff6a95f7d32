"""Answers with a stated error rate: one file per question, pure functions over numbers. numpy and scipy only.

The prompt is the unit: several samples of one prompt are averaged before they come here, because they are not
independent. `docs/statistics.md` says which question has which test, and what was measured of each.
"""
