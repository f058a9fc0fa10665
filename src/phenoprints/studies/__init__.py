"""Studies: encoders of several arms over several seeds, compared in pairs."""
