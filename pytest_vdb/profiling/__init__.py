"""What a generation costs: one probe per file, each reading  and why where it cannot read."""
