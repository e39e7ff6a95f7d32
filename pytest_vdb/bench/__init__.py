"""One benchmark without pytest: a model (or a clip that exists already), a prompt, a seed -> a record."""
