"""What a person reads: self-contained pages, a summary and verdicts, made from stored tables."""

from phenoprints.reports.build import PAGE_NAMES, Report, build

__all__ = ["PAGE_NAMES", "Report", "build"]
