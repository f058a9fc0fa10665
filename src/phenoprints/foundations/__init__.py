"""What every stage stands on: errors, publishing, fingerprints, provenance, randomness."""
