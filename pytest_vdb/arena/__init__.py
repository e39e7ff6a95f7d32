"""People say which clip is better: what they are shown, the folder that holds it, the server that collects answers."""
