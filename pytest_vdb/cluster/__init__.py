"""Where work runs: a shard goes to a machine, and records come home. It sees nothing else of a benchmark."""
