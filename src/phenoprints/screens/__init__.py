"""Which wells are there, what was done to them, where their pixels are."""
