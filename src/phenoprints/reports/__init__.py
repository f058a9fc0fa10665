"""What a person reads: self-contained pages, a summary and verdicts, made from stored tables."""
