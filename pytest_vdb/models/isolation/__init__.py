"""A model in a process of its own: the protocol, the process, the walls around it, and how much it may use."""
