"""What is kept: the journal of records, the clip cache, the environment, baselines."""
