"""What records mean together: leaderboards, intervals, comparisons and verdicts (numpy and scipy only)."""
