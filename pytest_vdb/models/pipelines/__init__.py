"""The pipelines of diffusers: loaded, told what the recipe says, called, and what is particular to a class."""
