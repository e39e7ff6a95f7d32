"""How a leaderboard is shown: one view per file."""
