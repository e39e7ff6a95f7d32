"""The networks that metrics look through. Nothing here knows a metric."""
