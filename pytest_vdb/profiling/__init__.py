"""What a generation costs: one probe per file, each with what it reads, and why where it cannot."""
