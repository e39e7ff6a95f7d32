"""Whatever can call `run_shard` somewhere, and again when it raises: a file per engine, none of which knows another."""
