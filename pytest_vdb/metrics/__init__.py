"""What a clip is worth: pure functions from a clip to a number with a unit and a direction."""
