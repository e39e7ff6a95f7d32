"""What is benchmarked: anything that turns a prompt into a clip."""
