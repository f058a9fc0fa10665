"""Which conditions look the same every time."""
