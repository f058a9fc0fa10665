"""Which images can be trusted."""
