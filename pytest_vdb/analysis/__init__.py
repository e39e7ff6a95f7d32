"""What records say when they are put side by side: means with intervals, ranks, and verdicts. numpy and scipy only."""

from pytest_vdb.analysis.leaderboard import build
from pytest_vdb.analysis.tables import Cell, Column, Leaderboard, Row, Table

__all__ = ["Cell", "Column", "Leaderboard", "Row", "Table", "build"]
