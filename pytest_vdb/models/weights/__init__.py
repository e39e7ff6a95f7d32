"""The weights modes: a folder found, downloaded or built, or a full-size network made in memory."""
