"""Records in another tool's words: each file is one target that declares itself, and knows no other."""
