"""What tests of Phenoprints, and of sources written by others, can import."""
